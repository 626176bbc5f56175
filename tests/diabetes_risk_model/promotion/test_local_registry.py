"""The registry on this machine: `make registry`."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest

from diabetes_risk_model.promotion.local_registry import main

SECONDS = 120


def test_it_serves_until_a_signal_and_leaves_nothing_running(tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    module = "diabetes_risk_model.promotion.local_registry"
    command = [sys.executable, "-u", "-m", module, str(tmp_path / "registry"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        family: list[psutil.Process] = []
        try:
            assert running.stdout is not None
            lines = [running.stdout.readline() for _ in range(5)]
            assert [line.partition("=")[0] for line in lines[:4]] == [
                f"export AWS_{name}"
                for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL", "DEFAULT_REGION")
            ]
            url = lines[4].split("MLflow is at ")[1].split(",")[0]
            assert urllib.request.urlopen(f"{url}/health", timeout=30).read() == b"OK"
            for path in ("mlflow/assistant/config", "mlflow/assistant/providers", "jobs/1"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(f"{url}/ajax-api/3.0/{path}", timeout=30)
            family = psutil.Process(running.pid).children(recursive=True)
            assert len(family) >= 2
            os.kill(running.pid, signal.SIGTERM)
            assert running.wait(SECONDS) == 0
        finally:
            running.kill()
        deadline = time.monotonic() + SECONDS
        while any(process.is_running() for process in family) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not [process for process in family if process.is_running()]
    assert (tmp_path / "registry" / "mlflow.db").is_file()


def test_a_port_that_is_taken_is_no_registry(tmp_path, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main([str(tmp_path / "registry"), "--port", str(port)]) == 1
    told = capsys.readouterr()
    assert f"cannot listen on 127.0.0.1:{port}" in told.err
    assert "MLflow is at" not in told.out
