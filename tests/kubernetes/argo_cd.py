"""Argo CD's controllers on a real API server: what follows a repository, without pages, sign-in or notifications.

TEST_CONTROL_PLANE names the program that has them too, and TEST_ARGO_CD_DEFINITIONS the folder of their definitions. It
is Argo CD 3.2, the newest whose parts are all published as Go's modules.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from signed_parameters.child_process import ChildProcess, free_port
from tests.kubernetes.api_server import ApiServer
from tests.ssh_server import SshServer

NAMESPACE = "argocd"


class ArgoCd:
    """What looks at Git for a cluster."""

    def __init__(self, cluster: ApiServer, folder: Path, sshd: SshServer) -> None:
        """Choose a folder, and the host that it knows; or skip the test where a part is missing."""
        definitions = Path(os.environ.get("TEST_ARGO_CD_DEFINITIONS", ""))
        kustomize = os.environ.get("KUSTOMIZE") or shutil.which("kustomize")
        if not (definitions / "application-crd.yaml").is_file():
            pytest.skip("Argo CD's definitions are not here (TEST_ARGO_CD_DEFINITIONS)")
        if kustomize is None:
            pytest.skip("kustomize is not here (KUSTOMIZE, or on the PATH)")
        self._cluster, self._folder, self._sshd, self._definitions = cluster, folder, sshd, definitions
        (folder / "bin").mkdir()
        (folder / "bin" / "kustomize").symlink_to(Path(kustomize).resolve())
        self.children: list[ChildProcess] = []

    def start(self) -> None:
        """Put its definitions and settings into the cluster, and start its controllers."""
        for path in self._definitions.glob("*-crd.yaml"):
            self._cluster.define(yaml.safe_load(path.read_text()))
        self._cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        hosts = {"ssh_known_hosts": self._sshd.known_hosts().read_text()}
        for name, data in (("argocd-cm", {}), ("argocd-rbac-cm", {}), ("argocd-ssh-known-hosts-cm", hosts)):
            self._put("ConfigMap", name, data=data)
        self._put("Secret", "argocd-secret", stringData={"server.secretkey": os.urandom(16).hex()})
        known, store, repositories = self._folder / "ssh", f"127.0.0.1:{free_port()}", free_port()
        known.mkdir()
        (known / "ssh_known_hosts").write_text(hosts["ssh_known_hosts"])
        (self._folder / "tmp").mkdir()
        environment = {
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_SSH_DATA_PATH": str(known),
            "ARGOCD_TLS_DATA_PATH": str(known),
            "KUBECONFIG": str(self._cluster.configuration),
            "PATH": f"{self._folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(self._folder / "tmp"),
            "NAMESPACE": NAMESPACE,
        }

        def run(name: str, *options: str) -> None:
            self.children.append(self._cluster.run(name, *options, environment=environment))

        run("redis", store)
        run(
            "argocd-repo-server",
            "--disable-tls",
            "--address=127.0.0.1",
            f"--port={repositories}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={free_port()}",
            f"--redis={store}",
        )
        server = f"127.0.0.1:{repositories}"
        where = [f"--kubeconfig={self._cluster.configuration}", f"--namespace={NAMESPACE}"]
        run(
            "argocd-application-controller",
            *where,
            f"--repo-server={server}",
            "--repo-server-plaintext",
            f"--redis={store}",
            f"--metrics-port={free_port()}",
        )
        run(
            "argocd-applicationset-controller",
            *where,
            f"--argocd-repo-server={server}",
            "--repo-server-plaintext",
            f"--metrics-addr=127.0.0.1:{free_port()}",
            f"--probe-addr=127.0.0.1:{free_port()}",
            f"--webhook-addr=127.0.0.1:{free_port()}",
        )

    def trust(self, name: str, url: str, project: str, key: Path) -> None:
        """Give a project the key of a repository, as the walk does."""
        labels = {"argocd.argoproj.io/secret-type": "repository"}
        data = {"type": "git", "url": url, "project": project, "sshPrivateKey": key.read_text()}
        self._put("Secret", name, labels, stringData=data)

    def _put(self, kind: str, name: str, labels: Mapping[str, str] | None = None, **fields: Mapping[str, str]) -> None:
        labels = {"app.kubernetes.io/part-of": "argocd", **(labels or {})}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        self._cluster.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields})
