"""Mistakes in the options, the environment and the configuration file end in a sentence, never in a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = "models:\n  - {class_path: diabetes_risk_model.prediction.model.DiabetesRiskModel, create_endpoint: true}\n"


def run(tmp_path: Path, text: str | None, *arguments: str, **environment: str) -> tuple[int, str]:
    path = tmp_path / "rest_config.yaml"
    if text is not None:
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "diabetes_risk_model.service", *arguments],
        env={**os.environ, "REST_CONFIG": str(path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "environment", "expected"),
    [
        (None, [], {}, "REST_CONFIG"),
        (GOOD + "shutdown: {drain_second: 1}\n", [], {}, "shutdown.drain_second"),
        (GOOD + "shutdown: {drain_seconds: -1}\n", [], {}, "shutdown.drain_seconds"),
        (GOOD + "shutdown: {drain_seconds: .inf}\n", [], {}, "shutdown.drain_seconds"),
        (GOOD + "connections: {head_seconds: 0}\n", [], {}, "connections.head_seconds"),
        (GOOD + "connections: {most: many}\n", [], {}, "connections.most"),
        (GOOD, ["--host", "192.0.2.1"], {}, "cannot listen at 192.0.2.1:8000"),
        (GOOD, ["--host", "no host"], {}, "cannot listen at no host:8000"),
        (GOOD, ["--workers", "0"], {}, "--workers"),
        (GOOD, [], {"WORKERS": "many"}, "--workers"),
        (GOOD, [], {"PORT": "70000"}, "--port"),
        (GOOD, ["--header", "nothing"], {}, "NAME:VALUE"),
        (GOOD, ["--header", "a b: c"], {}, "NAME:VALUE"),
        (GOOD, ["--header", "a: b\r\nc: d"], {}, "NAME:VALUE"),
    ],
)
def test_a_mistake_is_told(
    tmp_path: Path, text: str | None, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    status, output = run(tmp_path, text, *arguments, **environment)
    assert status == 2, output
    assert expected in output
    assert "Traceback" not in output


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = run(tmp_path, GOOD, "--port", str(port))
    assert status == 2
    assert f"cannot listen at 127.0.0.1:{port}" in output
    assert "address already in use" in output
    assert "Traceback" not in output
