"""The service, run by its own entry."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from diabetes_risk_model.service.process import ServiceProcess

ENTRY = "diabetes_risk_model.service"
CLASS_PATH = "diabetes_risk_model.prediction.model.DiabetesRiskModel"

Start = Callable[..., ServiceProcess]


@pytest.fixture
def start_own(tmp_path: Path, bucket: Any) -> Iterator[Start]:
    """`start_own(shutdown={...}, ...)` runs the service; keys are those of the configuration file."""
    running: list[ServiceProcess] = []

    def start(
        *,
        settings: dict[str, object] | None = None,
        arguments: tuple[str, ...] = (),
        app: str = ENTRY,
        wait_ready: bool = True,
        **keys: Any,
    ) -> ServiceProcess:
        path = tmp_path / f"service_{len(running)}.yaml"
        model = {"class_path": CLASS_PATH, "create_endpoint": True, "configuration": settings or bucket.settings()}
        retries = {"first_seconds": 0.1, "longest_seconds": 0.2}
        defaults = {"models": [model], "retries": retries, "shutdown": {"drain_seconds": 0}}
        path.write_text(yaml.safe_dump({**defaults, **keys}))
        service = ServiceProcess(app, path, wait_ready=wait_ready, arguments=arguments)
        running.append(service)
        return service.start()

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def open_connection() -> Iterator[Callable[[ServiceProcess], socket.socket]]:
    """`open_connection(service)` connects to a service."""
    opened: list[socket.socket] = []

    def connect(service: ServiceProcess) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), timeout=20)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object], str], None]:
    """`wait_until(condition, what)` fails with `what` where the condition does not come true."""

    def wait(condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    return wait


@pytest.fixture
def end(wait_until: Any) -> Callable[[ServiceProcess], int | None]:
    """`end(service)` sends SIGTERM, waits for the end, and returns the exit status."""

    def end_service(service: ServiceProcess) -> int | None:
        os.kill(service.pid, signal.SIGTERM)
        wait_until(lambda: not service.running, "it never ends")
        return service.exit_code

    return end_service
