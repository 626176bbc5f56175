"""What a kubelet makes of a container's environment and files, without a cluster."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.kubernetes.manifests import NAMESPACE, ROOT, Manifest, Manifests, Pod

Secrets = Mapping[str, Mapping[str, str]]


class NotStarted(Exception):
    """The kubelet does not start the container: something that it must have is missing."""


def environment(
    objects: Manifests, container: Manifest, secrets: Secrets, namespace: str = NAMESPACE
) -> dict[str, str]:
    """Return the variables that a container gets in a namespace.

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
        if kind == "fieldRef":
            variables[name] = {"metadata.namespace": namespace}[reference["fieldPath"]]
            continue
        stored = {"configMapKeyRef": maps, "secretKeyRef": secrets}[kind].get(reference["name"], {})
        if reference["key"] in stored:
            variables[name] = stored[reference["key"]]
        elif not reference.get("optional", False):
            raise NotStarted(f"{container['name']}: {reference['name']} has no {reference['key']}")
    return variables


def arguments(container: Manifest, variables: Mapping[str, str]) -> list[str]:
    """Return a container's arguments with the variables that they refer to. One that is not there stays as it is."""
    return [
        re.sub(r"\$\(([A-Z_]+)\)", lambda match: variables.get(match[1], match[0]), argument)
        for argument in container.get("args", [])
    ]


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


class Places:
    """Where a container's mounts are on this machine, and what becomes of the paths in its texts."""

    def __init__(self, container: Manifest, folder: Path) -> None:
        """Make a folder for each mount."""
        self._folders = {mount["mountPath"]: folder / mount["name"] for mount in container["volumeMounts"]}
        for path in self._folders.values():
            path.mkdir(parents=True, exist_ok=True)

    def here(self, text: str) -> str:
        """Return a text with the paths inside of the container exchanged for those of this machine."""
        pattern = rf"({'|'.join(map(re.escape, self._folders))})(?![\w-])"
        return re.sub(pattern, lambda match: str(self._folders[match[1]]), text)

    def write(self, files: Mapping[Path, str]) -> None:
        """Write files of the container to where they are here, with the paths in them exchanged."""
        for path, text in files.items():
            (self._folders[str(path.parent)] / path.name).write_text(self.here(text))


def entry_point(image: str) -> list[str]:
    """Return what the Dockerfile lets an image run, with this Python for its own."""
    text = (ROOT / "Dockerfile").read_text()
    (target,) = re.findall(rf"--target (\S+) --tag {re.escape(image)} ", text)
    (stage,) = re.findall(rf"^FROM base AS {target}$(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^ENTRYPOINT (\[.*\])$", stage, re.MULTILINE)
    program, *rest = json.loads(command)
    assert program == "python3"
    return [sys.executable, *rest]
