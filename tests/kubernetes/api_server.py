"""A real API server of Kubernetes on this machine, with its store and its controllers: a cluster without nodes.

TEST_CONTROL_PLANE names the program that tests/kubernetes/control_plane builds. Nothing runs in pods here. But whatever
a cluster would refuse, it refuses: fields that are unknown, pods that are not restricted, what is beyond a quota, and
requests that no role allows.
"""

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import urllib3

from signed_parameters.child_process import ChildProcess, free_port
from tests.kubernetes.manifests import Manifest, Manifests
from tests.ssh_server import SECONDS, wait_until

_MANAGER = "test"


class ApiServer:
    """A new, empty cluster without nodes. Use it as a context manager; who asks is its administrator."""

    def __init__(self, folder: Path) -> None:
        """Choose a folder, or skip the test where the program is missing."""
        program = os.environ.get("TEST_CONTROL_PLANE", "")
        if not os.access(program, os.X_OK):
            pytest.skip("Kubernetes' control plane is not here (TEST_CONTROL_PLANE)")
        self._folder, self._program = folder, program
        self.configuration = folder / "kubeconfig"
        self._token = secrets.token_hex(16)
        self._children: list[ChildProcess] = []
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def apply(self, item: Manifest, namespace: str = "") -> Manifest:
        """Apply an object as `kubectl apply --server-side` does, refusing unknown fields; return what is stored."""
        query = f"?fieldManager={_MANAGER}&fieldValidation=Strict&force=true"
        return self.ask("PATCH", self._path(item, namespace) + query, item, kind="application/apply-patch+yaml")

    def find(self, item: Manifest, namespace: str = "") -> Manifest:
        """Return what is stored of an object."""
        return self.ask("GET", self._path(item, namespace))

    def apply_all(self, objects: Manifests) -> list[Manifest]:
        """Apply objects, namespaces first; return what is stored."""
        return [self.apply(item) for item in sorted(objects, key=lambda item: item["kind"] != "Namespace")]

    def define(self, definition: Manifest) -> None:
        """Apply the definition of a kind of objects, and wait until there can be some."""
        self.apply(definition)
        spec = definition["spec"]
        version, names = f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]
        self._resources[version, names["kind"]] = names["plural"], spec["scope"] == "Namespaced"

        def can_be_asked() -> bool:
            try:
                return self.items(f"/apis/{version}/{names['plural']}") == []
            except Refused:
                return False

        wait_until(can_be_asked, f"{names['kind']} is served")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Ask the API, and return its answer.

        Raises:
            Refused: it says no.
        """
        given = {"Authorization": f"Bearer {self._token}", "Content-Type": kind, **(headers or {})}
        response = self._pool.request(method, path, json=body, headers=given, retries=False, timeout=SECONDS)
        if response.status >= 400:
            raise Refused(response.status, response.data.decode())
        answer: Manifest = response.json()
        return answer

    def items(self, path: str) -> list[Manifest]:
        """Return the objects of a list."""
        found: list[Manifest] = self.ask("GET", path)["items"]
        return found

    def may(self, group: str, verb: str, resource: str, namespace: str, name: str = "") -> bool:
        """Tell whether the members of a group may do something; `resource` may name a part, as pods/log."""
        plural, _, part = resource.partition("/")
        asked = {"namespace": namespace, "verb": verb, "resource": plural, "subresource": part, "name": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": "somebody", "groups": [group], "resourceAttributes": asked},
        }
        answer = self.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    def run(self, name: str, *options: str, environment: Mapping[str, str] | None = None) -> ChildProcess:
        """Start one of the program's parts, which ends with the cluster."""
        command, given = [self._program, name, *options], {**os.environ, **(environment or {})}
        child = ChildProcess(command, given, folder=self._folder)
        child.start()
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.stop(5.0)

    def _start(self) -> None:
        clients, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._port = free_port()
        tokens, key = self._folder / "tokens.csv", self._folder / "accounts.key"
        tokens.touch(mode=0o600)
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        key.touch(mode=0o600)
        key.write_text(_private_key())
        self.run(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        certificates = self._folder / "certificates"
        self.run(
            "kube-apiserver",
            f"--etcd-servers={clients}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={certificates}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--enable-admission-plugins=ResourceQuota",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        )
        wait_until((certificates / "apiserver.crt").exists, "the API server has a certificate")
        own = str(certificates / "apiserver.crt")
        self._pool = urllib3.HTTPSConnectionPool("127.0.0.1", self._port, ca_certs=own)
        wait_until(self._is_ready, "the API server is ready")
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(_KUBECONFIG.format(port=self._port, token=self._token))
        self.run(
            "kube-controller-manager",
            f"--kubeconfig={self.configuration}",
            f"--service-account-private-key-file={key}",
            "--secure-port=0",
        )

    def _is_ready(self) -> bool:
        assert all(child.running for child in self._children), self._children[-1].log(20)
        try:
            answer = self._pool.request("GET", "/readyz", headers={"Authorization": f"Bearer {self._token}"})
        except (urllib3.exceptions.HTTPError, OSError):
            time.sleep(0.1)
            return False
        return answer.status == 200

    def _path(self, item: Manifest, namespace: str) -> str:
        plural, namespaced = self._find(item["apiVersion"], item["kind"])
        metadata = item["metadata"]
        place = f"/namespaces/{metadata.get('namespace') or namespace}" if namespaced else ""
        return f"{_group(item['apiVersion'])}{place}/{plural}/{metadata['name']}"

    def _find(self, version: str, kind: str) -> tuple[str, bool]:
        """Return the resource of a kind, and whether it is one of a namespace's."""
        if (version, kind) not in self._resources:
            for resource in self.ask("GET", _group(version))["resources"]:
                if "/" not in resource["name"]:
                    self._resources[version, resource["kind"]] = (resource["name"], resource["namespaced"])
        return self._resources[version, kind]


class Refused(Exception):
    """The API server says no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


_KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{port}", insecure-skip-tls-verify: true}}}}]
users: [{{name: u, user: {{token: "{token}"}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


def _group(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
