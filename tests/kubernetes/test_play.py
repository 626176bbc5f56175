"""The Deployment itself, with its ConfigMaps and its Secret, played by podman on the image of the service.

Different from a cluster: the pod is on the network of the host, so no port is mapped, and the service gets a free one.
"""

import base64
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from signed_parameters import SigningKey
from tests.container.conftest import podman
from tests.kubernetes.manifests import Manifests, quantity

PREDICTION = "/api/models/diabetes_risk_model/prediction"
CONTAINER = "diabetes-risk-model-pod-0-service"
_SECONDS = 120


@dataclass(frozen=True)
class Played:
    """A pod that runs."""

    port: int

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Return status and answer; 0 where nothing listens."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, None

    def wait(self, condition: Callable[[int, Any], bool]) -> Any:
        """Wait for an answer of the readiness probe, and return it."""
        deadline = time.monotonic() + _SECONDS
        while not condition(*(found := self.ask("/api/health/ready"))):
            assert time.monotonic() < deadline, podman("logs", CONTAINER)
            time.sleep(0.1)
        return found[1]


@pytest.fixture
def play(
    service_image: str, objects: Manifests, secrets: dict[str, dict[str, str]], tmp_path: Path
) -> Iterator[Callable[[], Played]]:
    """`play()` plays the Deployment with what it refers to."""
    file = tmp_path / "pod.yaml"
    secret = tmp_path / "secret.json"
    (values,) = secrets.values()
    secret.write_text(json.dumps({key: base64.b64encode(text.encode()).decode() for key, text in values.items()}))
    podman("secret", "create", "model-reader", str(secret))

    def start() -> Played:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        (container,) = objects.pod("diabetes-risk-model").template["spec"]["containers"]
        container["image"] = service_image
        container["env"].append({"name": "PORT", "value": str(port)})
        del container["ports"]
        for name in ("startup", "readiness", "liveness"):
            container[f"{name}Probe"]["httpGet"]["port"] = port
        file.write_text(yaml.safe_dump_all([item for item in objects if item["kind"] in ("ConfigMap", "Deployment")]))
        podman("kube", "play", "--network", "host", str(file))
        return Played(port)

    try:
        yield start
    finally:
        if file.exists():
            podman("kube", "down", str(file), check=False)
        podman("secret", "rm", "model-reader")


def test_the_deployment_answers_a_prediction_as_locked_up_as_it_says(
    play: Callable[[], Played], objects: Manifests
) -> None:
    resources = objects.pod("diabetes-risk-model").containers[0]["resources"]
    pod = play()
    pod.wait(lambda status, _: status == 200)
    status, answer = pod.ask(PREDICTION, b'{"body_mass_index": 31.5, "general_health": "FAIR"}')
    assert (status, set(answer)) == (200, {"diabetes_risk", "probability"})
    (found,) = json.loads(podman("inspect", CONTAINER))
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["EffectiveCaps"] in (None, [])
    assert found["Config"]["User"] == "10001:10001"
    assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert found["HostConfig"]["Memory"] == quantity(resources["limits"]["memory"])


def test_the_deployment_with_the_wrong_public_key_is_never_ready(
    play: Callable[[], Played], objects: Manifests
) -> None:
    other = SigningKey.generate().verification_key
    objects.find("ConfigMap", "model-parameters")["data"]["PARAMETERS_VERIFICATION_KEYS"] = str(other)
    pod = play()
    answer = pod.wait(lambda status, body: status == 503 and body.get("retrying") is False)
    assert answer["reason"] == "UnknownKey"
    assert pod.ask(PREDICTION, b"{}")[0] == 503
    (line,) = [line for line in podman("logs", CONTAINER).splitlines() if "A model cannot be loaded" in line]
    assert "UnknownKey: " in line
