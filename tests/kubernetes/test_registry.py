"""kubernetes/registry: the command of its Deployment, run as it says, wants a password and keeps artefacts."""

import base64
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from diabetes_risk_model.promotion.registry import Registry, open_registry
from signed_parameters import AccessDenied, Unavailable
from signed_parameters.child_process import ChildProcess
from tests.kubernetes.cluster import NotStarted, Places, arguments, entry_point, environment, mounted
from tests.kubernetes.manifests import FOLDER, Manifests, Pod, build, quantity
from tests.kubernetes.pod_security import violations

RELEASES = ["1.37", "1.33", "1.30"]
NAMESPACE = "diabetes-analysts"
STORAGE = "http://minio.model-services.svc:9000"
ASK = "/api/2.0/mlflow/experiments/search?max_results=5"
START_SECONDS = 180.0
Ask = Callable[..., tuple[int, bytes]]


def rendered() -> Manifests:
    return build(FOLDER / "registry")


def given(access_key: str = "nobody", secret_key: str = "") -> dict[str, dict[str, str]]:
    """Return the Secrets, with new passwords and the credentials of a storage."""
    return {
        "registry-admin": {
            "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.token_hex(16),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
        },
        "registry-storage": {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
    }


def certificate(folder: Path, *names: str) -> None:
    """Make a certificate and its key, as tls.crt and tls.key."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subject = ["-subj", "/CN=registry", "-addext", f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *files], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Running:
    """A registry that runs as its Deployment says, and what its clients know."""

    port: int
    authority: Path
    password: str
    bucket: str
    process: ChildProcess

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def ask(
        self,
        path: str,
        fields: Mapping[str, object] | None = None,
        *,
        host: str = "",
        user: str = "",
        password: str = "",
        method: str | None = None,
    ) -> tuple[int, bytes]:
        """Ask, and return the status and the answer."""
        body = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"}, method=method)
        if host:
            request.add_header("Host", host)
        if user:
            told = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {told}")
        context = ssl.create_default_context(cafile=str(self.authority))
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def status(self, path: str, fields: Mapping[str, object] | None = None, **others: str) -> int:
        """Ask, and return the status."""
        return self.ask(path, fields, **others)[0]

    def wait(self, path: str) -> None:
        """Wait for the startup probe, as the kubelet sends it: to the pod's address."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.running, self.process.log(40)
            assert time.monotonic() < deadline, self.process.log(40)
            try:
                if self.status(path, host="10.1.2.3:5000") == 200:
                    return
            except OSError:
                time.sleep(0.2)


def run(pod: Pod, variables: dict[str, str], files: dict[Path, str], folder: Path, port: int) -> ChildProcess:
    """Start the container's command here: with its paths below a folder, and another port."""
    (container,) = pod.containers
    places = Places(container, folder)
    places.write(files)

    def here(text: str) -> str:
        return places.here(text).replace(":5000", f":{port}").replace("port=5000", f"port={port}")

    system = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    values = arguments({"args": list(variables.values())}, variables)
    system |= {name: here(value) for name, value in zip(variables, values, strict=True)}
    command = [*entry_point(container["image"]), *map(here, arguments(container, variables))]
    process = ChildProcess(command, system, folder=Path(places.here("/tmp")))
    process.start()
    return process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def programs() -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    pytest.importorskip("flask_wtf", reason="MLflow's accounts need Flask-WTF, which mlflow[auth] brings")


@pytest.fixture(scope="module")
def registry(programs: None, s3_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The registry, with a bucket of the local S3 server in the place of the cluster's."""
    objects, bucket = rendered(), f"test-{secrets.token_hex(8)}"
    s3_server.settings.client().make_bucket(bucket)
    pod, kept = objects.pod("registry"), given(s3_server.access_key, s3_server.secret_key)
    (container,) = pod.containers
    variables = environment(objects, container, kept, NAMESPACE)
    assert variables["MLFLOW_S3_ENDPOINT_URL"] == STORAGE
    variables["MLFLOW_S3_ENDPOINT_URL"] = s3_server.url
    assert container["args"].count("--artifacts-destination=s3://registry-$(NAMESPACE)") == 1
    container["args"] = [one.replace("//registry-$(NAMESPACE)", f"//{bucket}") for one in container["args"]]
    folder, port = tmp_path_factory.mktemp("registry-pod"), free_port()
    (folder / "tls").mkdir()
    certificate(folder / "tls", "localhost")
    process = run(pod, variables, mounted(objects, pod, container), folder, port)
    password = kept["registry-admin"]["MLFLOW_AUTH_ADMIN_PASSWORD"]
    running = Running(port, folder / "tls" / "tls.crt", password, bucket, process)
    try:
        running.wait(container["startupProbe"]["httpGet"]["path"])
        yield running
    finally:
        process.stop()


@pytest.fixture
def client(registry: Running, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's client as the administrator, who has no credentials of the storage."""
    from mlflow import MlflowClient

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", registry.password)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(registry.authority))
    return MlflowClient(registry.url)


def test_a_password_is_needed_and_no_known_one_is_right(registry: Running) -> None:
    assert registry.status(ASK) == 401
    for guess in ("password", "password1234", "admin", ""):
        assert registry.status(ASK, user="admin", password=guess) == 401
    assert registry.status(ASK, user="admin", password=registry.password) == 200
    for path in ("/", "/graphql", "/api/2.0/mlflow-artifacts/artifacts", "/api/2.0/mlflow/users/list", "/metrics"):
        assert registry.status(path) in (401, 403, 404), path


def test_a_name_that_leads_elsewhere_is_refused(registry: Running) -> None:
    for host, status in [("attacker.example.org:5000", 403), (f"registry:{registry.port}", 200)]:
        assert registry.status(ASK, host=host, user="admin", password=registry.password) == status


def test_nothing_is_said_in_clear(registry: Running) -> None:
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        urllib.request.urlopen(registry.url.replace("https", "http") + "/health", timeout=30)


def test_an_artefact_lands_in_the_storage_and_comes_back(
    registry: Running, client: Any, s3_server: Any, tmp_path: Path
) -> None:
    content = secrets.token_bytes(3 << 20)
    (tmp_path / "card.bin").write_bytes(content)
    experiment = client.create_experiment(secrets.token_hex(4))
    run_id = client.create_run(experiment).info.run_id
    client.log_artifact(run_id, str(tmp_path / "card.bin"))
    storage = s3_server.settings.client()
    (found,) = [item for item in storage.list_objects(registry.bucket, recursive=True) if run_id in item.object_name]
    answer = storage.get_object(registry.bucket, found.object_name)
    assert answer.read() == content
    answer.close()
    back = client.download_artifacts(run_id, "card.bin", str(tmp_path))
    assert Path(back).read_bytes() == content
    assert registry.status(f"/get-artifact?run_id={run_id}&path=card.bin") == 401


def test_the_watcher_may_say_what_became_of_a_version_and_nobody_else_may(
    registry: Running, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"m{secrets.token_hex(4)}"
    client.create_registered_model(name)
    client.create_model_version(name, "s3://elsewhere/model")
    password = secrets.token_hex(16)
    for user in ("promotion", "onlooker"):
        account = {"username": user, "password": password}
        assert registry.status("/api/2.0/mlflow/users/create", account) == 401
        assert registry.status("/api/2.0/mlflow/users/create", account, user="admin", password=registry.password) == 200
    right = {"username": "promotion", "resource_type": "registered_model", "resource_id": name, "permission": "EDIT"}
    assert (
        registry.status("/api/3.0/mlflow/users/permissions/grant", right, user="admin", password=registry.password)
        == 200
    )
    monkeypatch.setenv("AWS_CA_BUNDLE", str(registry.authority))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)

    def opened(user: str) -> Registry:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        return open_registry(registry.url, name, local=False)

    opened("promotion").set_tag("1", "promotion.staging", "deployed")
    assert opened("onlooker").version("1").tags == {"promotion.staging": "deployed"}
    with pytest.raises(AccessDenied):
        opened("onlooker").set_alias("production", "1")
    with pytest.raises(AccessDenied):
        opened("stranger").aliases()
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(Unavailable):
        opened("promotion").aliases()


@pytest.mark.parametrize("key", ["MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"])
def test_it_does_not_start_without_a_password(programs: None, key: str, tmp_path: Path) -> None:
    objects, kept = rendered(), given()
    pod = objects.pod("registry")
    (container,) = pod.containers
    kept["registry-admin"][key] = ""
    files = mounted(objects, pod, container)
    process = run(pod, environment(objects, container, kept, NAMESPACE), files, tmp_path, free_port())
    try:
        assert process.wait_for_line(key, START_SECONDS) is not None, process.log(40)
        assert process.wait_for_line("Listening at", 1) is None
    finally:
        process.stop()
    del kept["registry-admin"][key]
    with pytest.raises(NotStarted, match=key):
        environment(objects, container, kept, NAMESPACE)


@pytest.mark.parametrize("release", RELEASES)
def test_every_object_fits_the_schema_of_the_release(release: str) -> None:
    for item in rendered():
        assert kubernetes_validate.validate(item, release, strict=True) == release


def test_one_pod_at_a_time_has_the_database() -> None:
    objects = rendered()
    spec = objects.find("Deployment", "registry")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = objects.pod("registry")
    (claim,) = [one["persistentVolumeClaim"] for one in pod.spec["volumes"] if "persistentVolumeClaim" in one]
    assert objects.find("PersistentVolumeClaim", claim["claimName"])["spec"]["accessModes"] == ["ReadWriteOnce"]
    (container,) = pod.containers
    data = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["data"]
    texts = [*container["args"], *mounted(objects, pod, container).values()]
    stores = re.findall(r"sqlite:///(/\S+)", " ".join(texts))
    assert len(stores) == 2
    assert all(path.startswith(f"{data}/") for path in stores)
    assert "--workers=1" in container["args"]


def test_the_pod_is_restricted_and_its_key_is_not_for_everybody() -> None:
    pod = rendered().pod("registry")
    assert violations(pod.template) == []
    (container,) = pod.containers
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (tls,) = [volume["secret"] for volume in pod.spec["volumes"] if "secret" in volume]
    assert tls["defaultMode"] == 0o400
    assert pod.spec["securityContext"]["fsGroup"] == pod.spec["securityContext"]["runAsGroup"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert quantity(container["resources"]["requests"]["memory"]) < quantity(container["resources"]["limits"]["memory"])
