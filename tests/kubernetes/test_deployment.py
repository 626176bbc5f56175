"""The Deployment's configuration and environment, in a real process, on a real S3 server: good ones, and bad ones."""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diabetes_risk_model.service.process import ServiceProcess
from signed_parameters import SigningKey
from tests.kubernetes.cluster import environment, mounted
from tests.kubernetes.manifests import Manifests, quantity

SERVICE = "diabetes_risk_model.service"
PREDICTION = "/api/models/diabetes_risk_model/prediction"
_SECONDS = 60
Start = Callable[..., ServiceProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(objects, secrets)` starts the container's process, with what a kubelet would give it."""
    running: list[ServiceProcess] = []

    def start_service(objects: Manifests, secrets: dict[str, dict[str, str]], *, ready: bool) -> ServiceProcess:
        pod = objects.pod("diabetes-risk-model")
        (container,) = pod.containers
        variables = environment(objects, container, secrets)
        file = tmp_path / "rest_config.yaml"
        file.write_text(mounted(objects, pod, container)[Path(variables.pop("REST_CONFIG"))])
        service = ServiceProcess(SERVICE, file, variables, wait_ready=ready)
        running.append(service)
        return service.start()

    yield start_service
    for service in running:
        service.stop()


def ask(service: ServiceProcess, path: str, body: bytes, media_type: str = "application/json") -> Any:
    request = urllib.request.Request(service.url + path, body, {"Content-Type": media_type})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def probe(objects: Manifests, name: str) -> str:
    (container,) = objects.pod("diabetes-risk-model").containers
    return str(container[f"{name}Probe"]["httpGet"]["path"])


def test_it_becomes_ready_predicts_and_ends(objects: Manifests, secrets: Any, start: Start) -> None:
    service = start(objects, secrets, ready=True)
    wait_for(lambda: service.status(probe(objects, "startup")) == 200)
    assert service.status(probe(objects, "readiness")) == service.status(probe(objects, "liveness")) == 200
    answer = ask(service, PREDICTION, b'{"body_mass_index": 31.5, "general_health": "FAIR"}')
    assert answer["diabetes_risk"] in ("NO_DIABETES", "DIABETES")
    service.stop()
    assert service.exit_code == 0


def test_it_fits_into_its_memory_with_the_largest_batches(objects: Manifests, secrets: Any, start: Start) -> None:
    (container,) = objects.pod("diabetes-risk-model").containers
    resources = container["resources"]
    service = start(objects, secrets, ready=True)
    assert service.resident_megabytes() * 1e6 < quantity(resources["requests"]["memory"])
    row = {"body_mass_index": 31.5, "general_health": "VERY_GOOD", "age": "FROM_65_TO_69", "income": "UNDER_20_000"}
    batch = json.dumps([row] * 10_000).encode()
    for _ in range(5):
        assert len(ask(service, PREDICTION + "s", batch)["predictions"]) == 10_000
    status = Path(f"/proc/{service.pid}/status").read_text()
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert int(peak) * 1024 < quantity(resources["limits"]["memory"])


def test_a_missing_key_of_the_secret_is_named_in_the_log(objects: Manifests, secrets: Any, start: Start) -> None:
    del secrets["model-reader"]["MINIO_SECRET_KEY"]
    service = start(objects, secrets, ready=False)
    (line,) = refusals(objects, service)
    assert "ConfigurationError: the environment variable MINIO_SECRET_KEY is missing" in line


def test_a_missing_secret_is_named_in_the_log(objects: Manifests, start: Start) -> None:
    service = start(objects, {}, ready=False)
    (line,) = refusals(objects, service)
    assert "the environment variable MINIO_ACCESS_KEY is missing" in line


def test_without_a_key_of_one_s_own_nothing_is_trusted(objects: Manifests, secrets: Any, start: Start) -> None:
    objects.find("ConfigMap", "model-parameters")["data"]["PARAMETERS_VERIFICATION_KEYS"] = ""
    service = start(objects, secrets, ready=False)
    (line,) = refusals(objects, service)
    assert "the environment variable PARAMETERS_VERIFICATION_KEYS is missing" in line


def test_the_wrong_public_key_is_named_in_the_log(objects: Manifests, secrets: Any, start: Start, bucket: Any) -> None:
    other = SigningKey.generate().verification_key
    objects.find("ConfigMap", "model-parameters")["data"]["PARAMETERS_VERIFICATION_KEYS"] = str(other)
    service = start(objects, secrets, ready=False)
    (line,) = refusals(objects, service)
    assert "UnknownKey: " in line
    assert other.key_id in line
    assert bucket.key.key_id in line


def test_a_tampered_package_is_named_in_the_log(
    objects: Manifests, secrets: Any, start: Start, bucket: Any, s3_server: Any, s3_bucket: str
) -> None:
    before = start(objects, secrets, ready=True)
    content = bytearray(bucket.package.read_bytes())
    content[len(content) // 2] ^= 1
    bucket.package.write_bytes(content)
    s3_server.settings.client().fput_object(s3_bucket, bucket.package.name, str(bucket.package))
    (line,) = refusals(objects, start(objects, secrets, ready=False))
    assert "DigestMismatch: " in line
    assert before.status(probe(objects, "readiness")) == 200, "the old pod goes on serving"
    assert ask(before, PREDICTION, b"{}")["diabetes_risk"]


def test_parameters_below_the_minimum_serial_are_named_in_the_log(
    objects: Manifests, secrets: Any, start: Start
) -> None:
    configuration = objects.find("ConfigMap", "rest-config")["data"]
    text = configuration["rest_config.yaml"].replace("minimum_serial: 1", "minimum_serial: 2")
    configuration["rest_config.yaml"] = text
    (line,) = refusals(objects, start(objects, secrets, ready=False))
    assert "RolledBack: " in line


@pytest.mark.parametrize("wrong", ["bucket", "secret", "version"])
def test_what_the_storage_keeps_back_is_named_in_the_log_and_tried_again(
    objects: Manifests, secrets: Any, start: Start, s3_bucket: str, wrong: str
) -> None:
    configuration = objects.find("ConfigMap", "rest-config")["data"]
    error = "NotFound"
    if wrong == "bucket":
        configuration["rest_config.yaml"] = configuration["rest_config.yaml"].replace(s3_bucket, "another-bucket")
    elif wrong == "version":
        objects.find("ConfigMap", "model-parameters")["data"]["MODEL_PARAMETERS_VERSION"] = "2026_12_01"
    else:
        secrets["model-reader"]["MINIO_SECRET_KEY"] = "not-the-secret"
        error = "AccessDenied"
    service = start(objects, secrets, ready=False)
    wait_for(lambda: service.log().count("could not be loaded yet") >= 2)
    assert service.status(probe(objects, "readiness")) == 503
    assert service.status(probe(objects, "startup")) == 200
    assert "Traceback" not in service.log()
    for line in (line for line in service.log().splitlines() if "could not be loaded yet" in line):
        assert f"{error}: " in line
        assert "not-the-secret" not in line


def refusals(objects: Manifests, service: ServiceProcess) -> list[str]:
    """Wait until the service has given up, check what its probes say then, and return the lines that tell why."""
    wait_for(service.refuses)
    assert service.status(probe(objects, "readiness")) == 503
    assert service.status(probe(objects, "startup")) == 200, "a restart would not help"
    assert service.status(probe(objects, "liveness")) == 200
    assert "Traceback" not in service.log()
    return [line for line in service.log().splitlines() if "A model cannot be loaded" in line]
