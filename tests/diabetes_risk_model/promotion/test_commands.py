"""`diabetes-risk-model promote watch`, and `train --track` before it trains."""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from diabetes_risk_model.cli import main
from diabetes_risk_model.promotion.watcher import REFUSED
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


def test_a_stage_that_fails_does_not_hide_the_others(world):
    world.alias("staging", world.register(1))
    world.alias("production", "1")
    world.review("policies/production.yaml", b"name: another\nkeys: []\n", "A mistake")
    done = subprocess.run(
        [COMMAND, "promote", "once", "--json", "--config", str(world.config)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    stages = json.loads(done.stdout)["stages"]
    assert [stage["state"] for stage in stages] == ["promoted", "failed"]
    assert "ConfigurationError" in stages[1]["detail"]


def test_what_is_older_than_the_deployed_is_said_when_it_is_approved(world):
    world.register(1)
    world.alias("staging", world.register(2))
    world.once()
    options = ["--alias", "staging", "--config", str(world.config)]
    result = CliRunner().invoke(main, ["promote", "approve", "1", *options])
    assert result.exit_code == 0, result.output
    assert "staging has serial 2: it goes back when" in result.output
    assert world.once().state == REFUSED


def test_the_watcher_says_that_a_failure_is_over(world):
    away = world.bare.with_name("away.git")
    options = ["--config", str(world.config), "--interval", "1"]
    with ChildProcess([COMMAND, "promote", "watch", *options], {**os.environ}) as watching:
        assert watching.wait_for_line("registry and repository answer", SECONDS), watching.log()
        world.bare.rename(away)
        assert watching.wait_for_line("failed: Unavailable: the repository", SECONDS), watching.log()
        away.rename(world.bare)
        world.alias("staging", world.register(1))
        assert watching.wait_for_line("staging: promoted", SECONDS), watching.log()
    assert watching.log().count("registry and repository answer") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--track"], "--track needs --key"),
        (["train", "--track", "--key", "missing.json", "--config", "none.yaml"], "promotion settings none.yaml cannot"),
        (["promote", "watch", "--config", "none.yaml"], "promotion settings none.yaml cannot be read"),
        (["promote", "approve", "1"], "Missing option"),
        (["promote", "approve", "v1", "--alias", "staging"], "expected the number of a registered version, found 'v1'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_done(tmp_path, arguments, says):
    done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []
