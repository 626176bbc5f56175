"""The rendered pods of batch scoring, and podman's command for each: a container as locked up as the manifest says."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kubernetes.batch import pods
from tests.kubernetes.manifests import Manifests, Pod

HOST = "score-large-scheduler.model-services.svc"


@dataclass
class World:
    """The rendered pods, a bucket with a package and a batch, and the Secrets' contents."""

    objects: Manifests
    image: str
    bucket: str
    client: Any
    package: Path
    secrets: Mapping[str, Mapping[str, str]]
    folder: Path

    def pod(self, name: str) -> Pod:
        return pods(self.objects)[name]

    def names(self, prefix: str = "") -> set[str]:
        return {item.object_name for item in self.client.list_objects(self.bucket, prefix=prefix, recursive=True)}

    def read(self, name: str) -> bytes:
        answer = self.client.get_object(self.bucket, name)
        try:
            content: bytes = answer.read()
            return content
        finally:
            answer.close()
            answer.release_conn()

    def tamper(self) -> None:
        content = bytearray(self.package.read_bytes())
        content[len(content) // 2] ^= 1
        self.client.put_object(self.bucket, self.package.name, io.BytesIO(content), len(content))

    def run(self, name: str, *options: str, change: Callable[[str], str] = lambda text: text) -> list[str]:
        """Return podman's command for a pod's container: locked up, set, mounted and limited as the manifest says."""
        pod = self.pod(name)
        (container,) = pod.spec["containers"]
        context, security = pod.spec["securityContext"], container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        command = [
            *("podman", "run", "--rm", "--network", "host", f"--user={context['runAsUser']}:{context['runAsGroup']}"),
            *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--add-host", f"{HOST}:127.0.0.1", *options),
        ]
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        for mount in container["volumeMounts"]:
            command += self._mounted(volumes[mount["name"]], mount["mountPath"])
        variables = {one["name"]: self._value(one) for one in container["env"]}
        command += [f"--env={key}={change(value)}" for key, value in variables.items()]
        entrypoint = container.get("command")
        if entrypoint:
            command.append(f"--entrypoint={json.dumps(entrypoint)}")
        arguments = [
            text.replace("$(DASK_WORKER_NAME)", variables.get("DASK_WORKER_NAME", "")) for text in container["args"]
        ]
        return [*command, self.image, *map(change, arguments)]

    def _mounted(self, volume: Mapping[str, Any], path: str) -> list[str]:
        if "emptyDir" in volume:
            return ["--tmpfs", f"{path}:mode=1777,size=512m"]
        folder = self.folder / volume["name"]
        folder.mkdir(exist_ok=True)
        files = (
            self.objects.find("ConfigMap", "rest-config")["data"]
            if "configMap" in volume
            else self.secrets[volume["secret"]["secretName"]]
        )
        for name, text in files.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
        return ["--volume", f"{folder}:{path}:ro"]

    def _value(self, variable: Mapping[str, Any]) -> str:
        source = variable.get("valueFrom")
        if source is None:
            return str(variable["value"])
        if "secretKeyRef" in source:
            return self.secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
        return str(self.objects.find("ConfigMap", "model-parameters")["data"][source["configMapKeyRef"]["key"]])
