"""The watcher's sign of life, and the probe that reads it."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from diabetes_risk_model.promotion.heartbeat import VARIABLE, age, beat
from signed_parameters import ConfigurationError
from signed_parameters.child_process import ChildProcess
from tests.ssh_server import SECONDS, SilentServer, wait_until

COMMAND = [sys.executable, "-m", "diabetes_risk_model.promotion"]


def alive(environment, *options):
    """Run the probe; return its status and its answer."""
    done = subprocess.run(
        [*COMMAND, "alive", "--json", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_a_file_tells_when_the_last_round_ended(tmp_path):
    path = tmp_path / "heartbeat"
    environment = {VARIABLE: str(path)}
    assert age(path) is None
    assert alive(environment) == (1, {"seconds_since_last_round": None})
    beat(path)
    assert alive(environment)[0] == 0
    hour_ago = time.time() - 3_600
    os.utime(path, (hour_ago, hour_ago))
    status, answer = alive(environment)
    assert (status, round(answer["seconds_since_last_round"], -2)) == (1, 3_600)
    assert alive(environment, "--seconds", "7200")[0] == 0
    beat(path)
    assert alive(environment)[0] == 0


def test_without_a_file_the_probe_is_a_mistake():
    status, answer = alive({VARIABLE: ""})
    assert (status, answer["error"]) == (2, "UsageError")


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        beat(tmp_path / "missing" / "heartbeat")


def settings(folder, port):
    """Write settings whose registry is on a port; return the variables that lead to them."""
    path = folder / "promotion.yaml"
    stage = {"namespace": "diabetes-staging", "bucket": "s3://staging-files"}
    registry = f"http://127.0.0.1:{port}"
    fields = {
        "registry": registry,
        "packages": "s3://packages",
        "repository": "/none.git",
        "stages": {"staging": stage},
    }
    path.write_text(json.dumps(fields))
    return {"PROMOTION_CONFIG": str(path), VARIABLE: str(folder / "heartbeat")}


@pytest.fixture
def refusing_registry():
    """Port of a registry that lets nobody in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

        def log_message(self, format, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_round_that_fails_is_a_sign_of_life_too(tmp_path, refusing_registry):
    environment = {**os.environ, **settings(tmp_path, refusing_registry)}
    with ChildProcess([*COMMAND, "watch", "--interval", "1"], environment) as watching:
        wait_until((tmp_path / "heartbeat").exists, "the first round's end")
        os.utime(tmp_path / "heartbeat", (0, 0))
        wait_until(lambda: alive(environment)[0] == 0, "the second round's end")
        assert "failed: AccessDenied: the registry" in watching.log()


def test_a_watcher_that_hangs_gives_none(tmp_path):
    with SilentServer() as silent:
        environment = {**os.environ, **settings(tmp_path, silent.port)}
        with ChildProcess([*COMMAND, "watch", "--interval", "1"], environment) as watching:
            wait_until(silent.was_called, "the first question to the registry")
            assert alive(environment) == (1, {"seconds_since_last_round": None})
            assert watching.running
