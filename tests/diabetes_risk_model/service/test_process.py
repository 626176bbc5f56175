import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diabetes_risk_model.service.process import ServiceError, ServiceProcess

APP = """
import os
import subprocess
import sys

BALLAST = b"x" * int(os.environ.get("BALLAST", "0"))
CHILD = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) if "CHILD" in os.environ else None
if "FAIL" in os.environ:
    raise RuntimeError("this service cannot start")
print("configured by", open(os.environ["REST_CONFIG"]).read())
asked = 0


async def app(scope, receive, send):
    global asked
    if scope["type"] != "http":
        return
    status = 200
    if scope["path"] == "/api/health/ready":
        asked += 1
        status = 503 if "REFUSE" in os.environ or asked < 3 else 200
    if scope["path"] == "/api/health" and "REFUSE" in os.environ:
        print("refused the model")
        status = 503
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "tiny_service.py").write_text(APP)
    path = tmp_path / "rest_config.yaml"
    path.write_text("the configuration file")
    return path


def service(config: Path, *, port: int | None = None, wait_ready: bool = True, **environment: str) -> ServiceProcess:
    return ServiceProcess(
        "tiny_service:app",
        config,
        {"PYTHONPATH": str(config.parent), "PYTHONUNBUFFERED": "1", **environment},
        port,
        wait_ready=wait_ready,
        arguments=["--no-access-log"],
    )


def test_it_waits_until_the_service_is_ready_and_stops_it(config: Path) -> None:
    process = service(config)
    with process:
        assert process.status("/api/health/ready") == 200
        assert process.ready_seconds > 0
        assert process.running
        assert process.log().splitlines()[0] == "configured by the configuration file"
        pid = process.pid
    assert not process.running
    assert process.status("/api/health") is None
    assert "Finished server process" in process.log()
    process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_stopped_service_starts_again(config: Path) -> None:
    process = service(config)
    for _ in range(2):
        assert process.start().start().running
        process.stop()


def test_a_given_port_is_used(config: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with service(config, port=port) as process:
        assert process.url == f"http://127.0.0.1:{port}"


def test_a_port_that_is_taken(config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = service(config, port=taken.getsockname()[1])
        with pytest.raises(ServiceError, match=r"(?s)ended with status [13] .*address already in use"):
            process.start()


def test_the_answers_of_another_program_on_the_port_do_not_count(config: Path) -> None:
    with service(config) as other:
        process = service(config, port=int(other.url.rsplit(":", 1)[1]))
        with pytest.raises(ServiceError, match="address already in use"):
            process.start()
        assert other.running


def test_a_service_that_refuses_its_model_is_an_error_with_its_log(config: Path) -> None:
    process = service(config, REFUSE="1")
    with pytest.raises(ServiceError, match=r"(?s)refused to load its model.*refused the model"):
        process.start()
    assert not process.running


def test_a_service_that_refuses_its_model_can_be_watched(config: Path) -> None:
    with service(config, REFUSE="1", wait_ready=False) as process:
        assert process.status("/api/health") == 503
        assert process.status("/api/health/ready") == 503


def test_a_service_that_ends_at_once(config: Path) -> None:
    with pytest.raises(ServiceError, match=r"(?s)ended with status 1 before it was ready.*this service cannot start"):
        service(config, FAIL="1").start()


def test_a_service_that_is_never_ready(config: Path) -> None:
    process = ServiceProcess(
        "tiny_service:app", config, {"PYTHONPATH": str(config.parent), "REFUSE": "1"}, wait_ready=True, seconds=0.0
    )
    with pytest.raises(ServiceError, match=r"was not ready in 0 seconds|refused to load"):
        process.start()
    assert not process.running


def test_a_missing_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"Expected the service's configuration file at .*found none"):
        ServiceProcess("tiny_service:app", tmp_path / "missing.yaml").start()


def test_use_before_the_start(config: Path) -> None:
    process = service(config)
    process.stop()
    with pytest.raises(ServiceError, match="was not started"):
        _ = process.url
    with pytest.raises(ServiceError, match="is not running"):
        process.resident_megabytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_resident_memory_counts_the_process_and_its_children(config: Path) -> None:
    with service(config) as bare, service(config, BALLAST=str(100_000_000)) as heavy, service(config, CHILD="1") as two:
        assert 95 < heavy.resident_megabytes() - bare.resident_megabytes() < 110
        assert two.resident_megabytes() > bare.resident_megabytes() + 4


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_the_service_is_gone_when_its_parent_is_killed(config: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from diabetes_risk_model.service.process import ServiceProcess\n"
        "process = ServiceProcess('tiny_service:app', pathlib.Path(sys.argv[1])).start()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(config.parent)}
    command = [sys.executable, "-c", code, str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    state = Path(f"/proc/{pid}/stat")
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "the service outlived its parent"
        time.sleep(0.02)
