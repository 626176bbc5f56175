"""What a kubelet makes of a container's environment and files, without a cluster."""

from collections.abc import Mapping
from pathlib import Path

from tests.kubernetes.manifests import Manifest, Manifests, Pod

Secrets = Mapping[str, Mapping[str, str]]


class NotStarted(Exception):
    """The kubelet does not start the container: something that it must have is missing."""


def environment(objects: Manifests, container: Manifest, secrets: Secrets) -> dict[str, str]:
    """Return the variables that a container gets.

    Raises:
        NotStarted: a Secret, a ConfigMap, or a key of it is missing and not optional.
    """
    maps = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
    variables = {}
    for variable in container["env"]:
        name, source = variable["name"], variable.get("valueFrom")
        if source is None:
            variables[name] = variable["value"]
            continue
        ((kind, reference),) = source.items()
        stored = {"configMapKeyRef": maps, "secretKeyRef": secrets}[kind].get(reference["name"], {})
        if reference["key"] in stored:
            variables[name] = stored[reference["key"]]
        elif not reference.get("optional", False):
            raise NotStarted(f"{container['name']}: {reference['name']} has no {reference['key']}")
    return variables


def mounted(objects: Manifests, pod: Pod, container: Manifest) -> dict[Path, str]:
    """Return the files that a container finds, from ConfigMaps."""
    maps = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    return {
        Path(mount["mountPath"]) / name: text
        for mount in container["volumeMounts"]
        if "configMap" in volumes.get(mount["name"], {})
        for name, text in maps[volumes[mount["name"]]["configMap"]["name"]].items()
    }
