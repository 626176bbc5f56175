"""`diabetes-risk-model promote watch`, and `train --track` before it trains."""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diabetes_risk_model.promotion.webhooks import SECRET_VARIABLE
from signed_parameters.child_process import ChildProcess

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
SECONDS = 60.0


def test_a_message_wakes_the_watcher_and_a_signal_ends_it(world):
    delivery = pytest.importorskip("mlflow.webhooks.delivery", reason="MLflow is not installed")
    secret = secrets.token_hex(32)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--config", str(world.config), "--interval", "3600", "--webhook-port", str(port)]
    watching = ChildProcess([COMMAND, "promote", "watch", *options], {**os.environ, SECRET_VARIABLE: secret})
    with watching:
        assert watching.wait_for_line("staging: unset", SECONDS), watching.log()
        number = world.register(1)
        world.alias("staging", number)
        sent = str(int(time.time()))
        told = {
            "X-MLflow-Delivery-Id": "1",
            "X-MLflow-Timestamp": sent,
            "X-MLflow-Signature": delivery._generate_hmac_signature(secret, "1", sent, "{}"),
        }
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        connection.request("POST", "/", "{}", told)
        assert connection.getresponse().status == 204
        connection.close()
        assert watching.wait_for_line(f"staging: promoted version {number}: deployed: serial 1", SECONDS), (
            watching.log()
        )
        os.kill(watching.pid, signal.SIGTERM)
        assert watching.wait_for_line("ended by SIGTERM", SECONDS)
    assert watching.exit_code == 128 + signal.SIGTERM
    assert world.record().serial == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--track"], "--track needs --key"),
        (["train", "--track", "--key", "missing.json", "--config", "none.yaml"], "promotion settings none.yaml cannot"),
        (["promote", "watch", "--config", "none.yaml"], "promotion settings none.yaml cannot be read"),
        (["promote", "approve", "1"], "Missing option"),
    ],
)
def test_a_mistake_is_told_before_anything_is_done(tmp_path, arguments, says):
    done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []
