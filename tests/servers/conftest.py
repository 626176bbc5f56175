"""A signed package in S3, the same one tampered with, 1,000 people, and what our own service answers to them."""

import json
import random
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.peers.running import Running, run
from benchmarks.peers.servers import Peer
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.service.process import ServiceProcess
from signed_parameters import SigningKey
from tests.diabetes_risk_model.conftest import PARAMETERS_VERSION, TrainedModel, trained_model
from tests.servers.environments import environment
from tests.servers.peers import MODEL, Rows, tensor

__all__ = ["trained_model"]

ROWS = 1_000


@dataclass(frozen=True)
class Signed:
    """A folder with a signed package, and who signed it."""

    folder: Path
    package: Path
    key: SigningKey

    def settings(self, engine: str) -> dict[str, object]:
        """Return the model's settings."""
        return {
            "model_parameters_version": PARAMETERS_VERSION,
            "model_files_bucket": f"file://{self.folder}",
            "parameters_verification_keys": [str(self.key.verification_key)],
            "engine": engine,
        }

    @property
    def policy(self) -> str:
        return f"name: {MODEL}\nkeys: ['{self.key.verification_key}']\n"


@pytest.fixture(scope="session")
def signed(trained_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder, key = tmp_path_factory.mktemp("signed"), SigningKey.generate()
    files = trained_model.files
    package = package_parameters(files, folder, key=key, parameters_version=PARAMETERS_VERSION, serial=1)
    return Signed(folder, package, key)


@pytest.fixture(scope="session")
def tampered(signed: Signed, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The same, with one byte of the package changed."""
    folder = tmp_path_factory.mktemp("tampered")
    for path in signed.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    package = folder / signed.package.name
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    return Signed(folder, package, signed.key)


@pytest.fixture(scope="session")
def people() -> Rows:
    """Codes of the survey; some answers are missing."""
    source = random.Random(0)
    highest = (5, 13, 8)
    return [
        [
            source.choice([None, *[round(source.uniform(15, 60), 2)] * 4]),
            *(source.choice([None, *map(float, range(1, most + 1))]) for most in highest),
        ]
        for _ in range(ROWS)
    ]


@pytest.fixture(scope="session")
def expected(signed: Signed, people: Rows, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The probabilities that our own service answers."""
    configuration = tmp_path_factory.mktemp("ours") / "rest_config.yaml"
    class_path = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
    model = {"class_path": class_path, "create_endpoint": True, "configuration": signed.settings("onnx")}
    configuration.write_text(yaml.safe_dump({"models": [model]}))
    with ServiceProcess("diabetes_risk_model.service.main:app", configuration) as service:
        status, answer = ask(f"{service.url}/v2/models/{MODEL}/infer", {"inputs": [tensor(people)]})
    assert status == 200
    probabilities: list[float] = answer["outputs"][0]["data"]
    assert len(set(probabilities)) > ROWS // 4
    return probabilities


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[[Signed], Path]:
    """`settings_file(signed)` writes the settings of a component, whose engine needs no library."""

    def write(package: Signed) -> Path:
        path = tmp_path / "model.yaml"
        path.write_text(yaml.safe_dump(package.settings("table")))
        return path

    return write


Initialize = Callable[..., tuple[subprocess.CompletedProcess[str], Path]]


@pytest.fixture
def initialize(s3_server: Any, s3_bucket: str, tmp_path: Path) -> Initialize:
    """`initialize(signed, "model.onnx")` does what the init container of a cluster does: result, folder."""

    def fill(package: Signed, write: str) -> tuple[subprocess.CompletedProcess[str], Path]:
        for path in package.folder.iterdir():
            s3_server.settings.client().fput_object(s3_bucket, path.name, str(path))
        target = tmp_path / "models"
        target.mkdir()
        variables = {
            "AWS_ENDPOINT_URL": s3_server.url,
            "AWS_ACCESS_KEY_ID": s3_server.access_key,
            "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
            "SIGNED_PARAMETERS_POLICY_TEXT": package.policy,
            "SIGNED_PARAMETERS_WRITE": write,
        }
        source = f"signed-s3://{s3_bucket}/{package.package.name}"
        command = [sys.executable, "-m", "signed_parameters", "initialize", source, str(target)]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60), target

    return fill


Serve = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """`with serve(peer, model)` starts a server, or skips where its environment is not made."""

    def start(peer: Peer, model: Path) -> AbstractContextManager[Running]:
        folder = tmp_path / "server"
        folder.mkdir()
        return run(peer, environment(peer.package), model, folder)

    return start


def ask(url: str, body: object) -> tuple[int, Any]:
    """Return status and JSON of an answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="session")
def client() -> Callable[[str, object], tuple[int, Any]]:
    """`client(url, body)` asks: status, answer."""
    return ask


@pytest.fixture(scope="session")
def same() -> Callable[[Sequence[float], Sequence[float]], bool]:
    """`same(one, other)` tells whether probabilities agree as far as 32-bit floats can."""

    def agree(one: Sequence[float], other: Sequence[float]) -> bool:
        return len(one) == len(other) and all(abs(a - b) <= 1e-6 for a, b in zip(one, other, strict=True))

    return agree
