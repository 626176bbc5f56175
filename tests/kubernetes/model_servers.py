"""What KServe and Seldon make of their objects, as far as the initializer goes; and schemas, of Argo CD's objects too.

The schemas hold the fields that are used here, with the types that the published definitions give them. Parts that are
a pod's are not in them: they are checked in the pod that is made.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.kubernetes.manifests import ROOT, Manifest

MODELS = "/mnt/models"
_SCHEMAS = {
    "AppProject": "app_project",
    "Application": "application",
    "ApplicationSet": "application_set",
    "ClusterStorageContainer": "cluster_storage_container",
    "InferenceService": "inference_service",
    "SeldonDeployment": "seldon_deployment",
}
_READ_ONLY = {"mountPath": MODELS, "readOnly": True}


def load(folder: str, name: str) -> Manifest:
    """Return the one object of a file of kubernetes/FOLDER."""
    content: Manifest = yaml.safe_load((ROOT / "kubernetes" / folder / name).read_text())
    return content


def validate(item: Manifest) -> None:
    """Check an object of KServe, Seldon or Argo CD. Raises jsonschema.ValidationError."""
    schema = json.loads((Path(__file__).parent / "crds" / f"{_SCHEMAS[item['kind']]}.json").read_text())
    jsonschema.validate(item, schema)


def kserve_pod(container: Manifest, service: Manifest, secret: Manifest | None = None) -> Manifest:
    """Return the pod of an InferenceService, whose init container is that of a ClusterStorageContainer.

    KServe merges the container into its own, by the rules of a strategic merge: mounts by path, variables by name.
    """
    predictor = copy.deepcopy(service["spec"]["predictor"])
    model = predictor.pop("model")
    mount = {"name": "kserve-provision-location", "mountPath": MODELS}
    initializer = {"terminationMessagePolicy": "FallbackToLogsOnError", **copy.deepcopy(container["spec"]["container"])}
    initializer["args"] = [model["storageUri"], MODELS]
    initializer["volumeMounts"] = [mount, *initializer["volumeMounts"]]
    variables = _kserve_variables(secret) if secret else []
    named = {one["name"] for one in initializer["env"]}
    initializer["env"] = [*(one for one in variables if one["name"] not in named), *initializer["env"]]
    server = {
        "name": "kserve-container",
        "image": "of-the-runtime",
        "volumeMounts": [{"name": mount["name"], **_READ_ONLY}, *model.get("volumeMounts", [])],
    }
    predictor["volumes"] = [*predictor["volumes"], {"name": mount["name"], "emptyDir": {}}]
    predictor |= {"initContainers": [initializer], "containers": [server]}
    metadata = {"name": service["metadata"]["name"], "annotations": service["metadata"].get("annotations", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": predictor}


def _kserve_variables(secret: Manifest) -> list[Manifest]:
    annotations = secret["metadata"]["annotations"]
    endpoint, https = annotations["serving.kserve.io/s3-endpoint"], annotations["serving.kserve.io/s3-usehttps"]
    plain = {
        "S3_USE_HTTPS": https,
        "S3_ENDPOINT": endpoint,
        "AWS_ENDPOINT_URL": f"{'http' if https == '0' else 'https'}://{endpoint}",
        "AWS_DEFAULT_REGION": annotations["serving.kserve.io/s3-region"],
    }
    references = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret["metadata"]["name"], "key": name}}}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    ]
    return [*references, *({"name": name, "value": value} for name, value in plain.items())]


def seldon_pod(deployment: Manifest, values: Manifest | None = None) -> Manifest:
    """Return the pod of a SeldonDeployment of one predictor and one node, with what the operator adds to it.

    An init container that has the name which the operator would give to its own stays the only one.
    """
    (predictor,) = deployment["spec"]["predictors"]
    graph = predictor["graph"]
    spec = copy.deepcopy(predictor.get("componentSpecs", [{"spec": {}}])[0]["spec"])
    server = spec.setdefault("containers", [{"name": graph["name"]}])[0]
    server.setdefault("image", "of-the-server")
    metadata = {"name": deployment["metadata"]["name"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    if "modelUri" not in graph:
        return pod
    name, volume = f"{graph['name']}-model-initializer", f"{graph['name']}-provision-location"
    server.setdefault("volumeMounts", []).append({"name": volume, **_READ_ONLY})
    if name in [one["name"] for one in spec.get("initContainers", [])]:
        return pod
    helm = values or {"storageInitializer": {"image": "rclone-storage-initializer"}, "predictiveUnit": {}}
    secret = graph.get("envSecretRefName") or helm["predictiveUnit"].get("defaultEnvSecretRefName")
    spec["volumes"] = [*spec.get("volumes", []), {"name": volume, "emptyDir": {}}]
    initializer = {
        "name": name,
        "image": graph.get("storageInitializerImage") or helm["storageInitializer"]["image"],
        "args": [graph["modelUri"], MODELS],
        "volumeMounts": [{"name": volume, "mountPath": MODELS}],
        "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
    }
    spec["initContainers"] = [*spec.get("initContainers", []), initializer]
    return pod


def filled_in(template: Manifest, **values: str) -> dict[str, str]:
    """Return the content of a Secret, with `${NAME}` filled in as `envsubst` does."""
    text = json.dumps(template["stringData"])
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    content: dict[str, str] = json.loads(text)
    return content


def start(pod: Manifest, *, secrets: Manifest, maps: Manifest, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the pod's init container, as a kubelet would: its arguments, variables and mounts, below a folder.

    Args:
        pod: of `kserve_pod` or `seldon_pod`.
        secrets: name -> content.
        maps: name -> files, of ConfigMaps.
        folder: in the place of the root of the pod's file system.
    """
    (container,) = pod["spec"]["initContainers"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for mount in container["volumeMounts"]:
        path = folder / mount["mountPath"].lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        source = volumes[mount["name"]].get("configMap")
        for name, text in (maps[source["name"]] if source else {}).items():
            (path / name).write_text(text)
    variables: dict[str, str] = {}
    for origin in container.get("envFrom", []):
        variables |= secrets[origin["secretRef"]["name"]]
    for variable in container.get("env", []):
        variables[variable["name"]] = _value(variable, pod, secrets)
    policy = variables.get("SIGNED_PARAMETERS_POLICY")
    if policy:
        variables["SIGNED_PARAMETERS_POLICY"] = f"{folder}{policy}"
    source, target = container["args"]
    command = [sys.executable, "-m", "signed_parameters", "initialize", source, f"{folder}{target}"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)


def _value(variable: Manifest, pod: Manifest, secrets: Manifest) -> str:
    source: Any = variable.get("valueFrom")
    if source is None:
        return str(variable["value"])
    if "secretKeyRef" in source:
        return str(secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]])
    key = source["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    return str(pod["metadata"]["annotations"].get(key, ""))
