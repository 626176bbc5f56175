"""A service of our own application with narrow limits, and a client that can say anything to it."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.service.process import ServiceProcess
from signed_parameters import SigningKey

OURS = "diabetes_risk_model.service.main:app"
LIMITS = {"prediction_bytes": 6_000, "batch_bytes": 200_000, "batch_rows": 1_000, "body_seconds": 1.0}


@dataclass(frozen=True)
class Served:
    """A running service, and the same model beside it."""

    process: ServiceProcess
    model: DiabetesRiskModel


@dataclass(frozen=True)
class Reply:
    """What came back, read until its end or the connection's."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="session")
def served_model(tmp_path_factory: pytest.TempPathFactory, trained_model: Any) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("limited")
    key = SigningKey.generate()
    package_parameters(trained_model.files, folder, key=key, parameters_version="2026_11_21", serial=1)
    settings = {
        "model_parameters_version": "2026_11_21",
        "model_files_bucket": f"file://{folder}",
        "parameters_verification_keys": [str(key.verification_key)],
    }
    configuration = folder / "rest_config.yaml"
    class_path = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
    model = {"class_path": class_path, "create_endpoint": True, "configuration": settings}
    configuration.write_text(yaml.safe_dump({"models": [model], "limits": LIMITS, "metrics": {"enabled": True}}))
    with ServiceProcess(OURS, configuration) as process:
        yield Served(process, DiabetesRiskModel(**settings))


@pytest.fixture(scope="session")
def limited(served_model: Served) -> ServiceProcess:
    """The service alone."""
    return served_model.process


@pytest.fixture(scope="session")
def limits() -> dict[str, Any]:
    return LIMITS


def exchange(service: ServiceProcess, *parts: bytes, seconds: float = 20.0) -> Reply:
    """Send raw bytes, whether they can all be sent or not, and return the answer."""
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        for part in parts:
            connection.sendall(part)
        return read_reply(connection)


def read_reply(connection: socket.socket) -> Reply:
    content = b""
    while b"\r\n\r\n" not in content:
        content += _some(connection)
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += _some(connection)
    return Reply(int(first.split()[1]), headers, body)


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65_536)
    if not received:
        raise AssertionError("the service closed the connection without an answer")
    return received


def request(
    path: str, body: bytes = b"", content_type: str = "application/json", *, method: str = "POST", extra: str = ""
) -> bytes:
    """Write a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture(scope="session")
def http() -> Any:
    """`http.request(path, body, ...)` writes a request, `http.exchange(service, bytes)` makes it."""
    return SimpleNamespace(request=request, exchange=exchange, read_reply=read_reply)
