"""The service's image, run for real: locked up, from a real S3 server, attacked, and stopped."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest

from signed_parameters import SigningKey
from signed_parameters.statement import ENVELOPE_SUFFIX

Start = Callable[..., Any]
PREDICTION = "/api/models/diabetes_risk_model/prediction"
ANSWERS = {"body_mass_index": 31, "general_health": "GOOD", "age": "FROM_60_TO_64", "income": "UNDER_75_000"}
ROW = [[31.0, 3.0, 9.0, 7.0]]
STOP_SECONDS = 5.0  # what was promised to those who deploy it


@pytest.fixture
def ready(start: Start, stored: Any, tmp_path: Path) -> Any:
    container = start(stored.environment, stored.configuration(tmp_path))
    container.wait_ready()
    return container


@pytest.mark.parametrize("engine", ["table", "onnx"])
def test_predicts_as_the_pipeline_that_was_packaged(start: Start, stored: Any, tmp_path: Path, engine: str) -> None:
    container = start(stored.environment, stored.configuration(tmp_path, engine=engine))
    container.wait_ready()
    status, body = container.ask(PREDICTION, ANSWERS)
    assert status == 200, body
    assert json.loads(body)["probability"] == pytest.approx(
        stored.pipeline.predict_proba(np.array(ROW))[0, 1], abs=1e-6
    )


def test_no_user_no_capability_nothing_to_write_but_tmp(ready: Any) -> None:
    status = dict(
        line.split(":\t", 1) for line in ready.execute("print(open('/proc/1/status').read())").splitlines() if line
    )
    assert set(status["Uid"].split() + status["Gid"].split()) == {"10001"}
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    writable = ready.execute(
        "import os\n"
        "for folder, folders, _ in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if os.path.join(folder, f) not in ('/proc', '/sys', '/dev')]\n"
        "    try: os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))\n"
        "    except OSError: pass\n"
        "    else: print(folder)\n"
    )
    assert writable.split() == ["/tmp"]


def test_fits_into_the_limits_of_compose(start: Start, stored: Any, tmp_path: Path) -> None:
    limits = ["--memory", "256m", "--memory-swap", "256m", "--pids-limit", "128", "--cpus", "1"]
    container = start(stored.environment, [*limits, *stored.configuration(tmp_path)])
    container.wait_ready()
    assert container.ask(PREDICTION, ANSWERS)[0] == 200
    assert container.status("OOMKilled") == "false"


def test_a_tampered_package_is_refused(start: Start, stored: Any, tmp_path: Path) -> None:
    changed = bytearray(stored.package.read_bytes())
    changed[len(changed) // 2] ^= 1
    forged = tmp_path / "forged.zip"
    forged.write_bytes(changed)
    stored.put(forged, stored.package.name)
    _refuses(start(stored.environment, stored.configuration(tmp_path)), "DigestMismatch")


def test_a_package_signed_by_somebody_else_is_refused(start: Start, stored: Any, tmp_path: Path) -> None:
    stranger = {"PARAMETERS_VERIFICATION_KEYS": str(SigningKey.generate().verification_key)}
    _refuses(start({**stored.environment, **stranger}, stored.configuration(tmp_path)), "UnknownKey")


def test_an_envelope_that_is_missing_is_waited_for(start: Start, stored: Any, tmp_path: Path) -> None:
    envelope = stored.package.name + ENVELOPE_SUFFIX
    stored.client.remove_object(stored.bucket, envelope)
    container = start(stored.environment, stored.configuration(tmp_path))
    container.wait(lambda: b"NotFound" in container.ask("/api/health/ready")[1], "the reason")
    assert container.ask(PREDICTION, ANSWERS)[0] == 503
    stored.put(stored.package.with_name(envelope), envelope)
    container.wait_ready()


def test_a_missing_variable_is_named(start: Start, stored: Any, tmp_path: Path) -> None:
    environment = {name: value for name, value in stored.environment.items() if name != "MINIO_SECRET_KEY"}
    container = start(environment, stored.configuration(tmp_path))
    _refuses(container, "MINIO_SECRET_KEY is missing")


def _refuses(container: Any, reason: str) -> None:
    container.wait_refused()
    assert container.ask(PREDICTION, ANSWERS)[0] == 503
    lines = [line for line in container.log().splitlines() if "ERROR" in line]
    assert len(lines) == 1
    assert reason in lines[0]
    assert "Traceback" not in container.log()


@pytest.mark.parametrize("refused", [False, True], ids=["ready", "refused"])
def test_the_health_check_tells(start: Start, stored: Any, tmp_path: Path, refused: bool) -> None:
    stranger = {"PARAMETERS_VERIFICATION_KEYS": str(SigningKey.generate().verification_key)}
    container = start(stored.environment | (stranger if refused else {}), stored.configuration(tmp_path))
    container.wait_refused() if refused else container.wait_ready()
    assert run(["podman", "healthcheck", "run", container.name], capture_output=True).returncode == int(refused)


def test_ends_soon_after_sigterm(ready: Any) -> None:
    run(["podman", "kill", "--signal", "TERM", ready.name], check=True, capture_output=True)
    begun = time.monotonic()
    run(["podman", "wait", ready.name], check=True, capture_output=True, timeout=60)
    assert time.monotonic() - begun < STOP_SECONDS
    assert ready.status("ExitCode") == "0"


def test_no_module_is_compiled_at_the_start(ready: Any) -> None:
    loaded = (
        "import sys, os, onnxruntime\n"
        "import diabetes_risk_model.service.server.command, diabetes_risk_model.prediction.model\n"
        "for module in list(sys.modules.values()):\n"
        "    spec = getattr(module, '__spec__', None)\n"
        "    if spec and spec.has_location and spec.origin.endswith('.py') and not os.path.exists(spec.cached):\n"
        "        print(spec.origin)\n"
    )
    assert ready.execute(loaded) == ""


def test_the_pages_need_nothing_from_outside(ready: Any) -> None:
    status, page = ready.ask("/docs")
    assert status == 200
    assert b"https://" not in page.replace(b"https://fastapi", b"")
