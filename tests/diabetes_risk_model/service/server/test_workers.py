"""Several processes that share a port, for real: who answers, who is ready, and what happens when one dies."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diabetes_risk_model.service.process import ServiceError, ServiceProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PREDICTION = "/api/models/diabetes_risk_model/prediction"
METRICS = "/metrics"
TWO = ("--workers", "2")


def ask(service: ServiceProcess, http: Any, path: str = PREDICTION) -> tuple[int, str]:
    """Return the status, and what tells which process answered."""
    sent = http.request(path, b"{}") if path == PREDICTION else http.request(path, method="GET")
    reply = http.exchange(service, sent)
    return reply.status, reply.headers["x-request-id"].partition("-")[0]


def ask_on(connection: socket.socket, http: Any) -> str:
    connection.sendall(http.request(PREDICTION, b"{}"))
    answering: str = http.read_reply(connection).headers["x-request-id"].partition("-")[0]
    return answering


def workers(service: ServiceProcess) -> set[int]:
    return set(service.pids()[1:])


def test_all_workers_answer_and_end_together(
    start_own: Any, http: Any, open_connection: Any, wait_until: Any, end: Any
) -> None:
    service = start_own(arguments=TWO)
    pids = workers(service)
    assert len(pids) == 2
    assert ask(service, http)[0] == 200
    answered: set[str] = set()

    def all_answered() -> bool:
        answered.add(ask_on(open_connection(service), http))
        return len(answered) == 2

    # They stay open, so the worker that has more leaves the next to the other.
    wait_until(all_answered, "one worker takes all connections")
    assert end(service) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_worker_that_died_is_started_again_and_no_request_finds_it_unready(
    start_own: Any, http: Any, wait_until: Any
) -> None:
    service = start_own(arguments=TWO)
    before = workers(service)
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    # A request that it took in its last moment is lost, whatever others do.
    wait_until(lambda: killed not in workers(service), "it goes on")
    statuses = set()

    def replaced() -> bool:
        statuses.add(ask(service, http)[0])
        statuses.add(ask(service, http, "/api/health/ready")[0])
        present = workers(service)
        return len(present) == 2 and killed not in present

    wait_until(replaced, "nobody takes its place")
    (replacement,) = workers(service) - before
    answered: set[str] = set()

    def both_answer() -> bool:
        status, process = ask(service, http)
        statuses.add(status)
        answered.add(process)
        return len(answered) == 2

    # In between the other worker answers alone.
    wait_until(both_answer, "the new worker never takes connections")
    assert statuses == {200}
    assert "ended with status -9" in service.log()
    assert Path(f"/proc/{replacement}").exists()


def test_a_worker_that_cannot_load_its_model_leaves_the_requests_to_the_others(
    start_own: Any, bucket: Any, http: Any, wait_until: Any
) -> None:
    service = start_own(arguments=TWO)
    parts = {path: path.read_bytes() for path in bucket.folder.iterdir()}
    for path in parts:
        path.unlink()
    before = workers(service)
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: "could not be loaded yet" in service.log(), "the new worker never tries")
    for _ in range(20):
        assert ask(service, http)[0] == 200
        assert ask(service, http, "/api/health/ready")[0] == 200
    # Now nobody has a model, and somebody has to say so.
    os.kill(max(before), signal.SIGKILL)
    wait_until(lambda: ask(service, http, "/api/health/ready")[0] == 503, "nobody says why")
    for path, content in sorted(parts.items()):
        path.write_bytes(content)
    wait_until(lambda: ask(service, http, "/api/health/ready")[0] == 200, "it never becomes ready")
    for _ in range(20):
        assert ask(service, http)[0] == 200


def test_while_a_worker_loads_the_service_is_not_ready(start_own: Any, bucket: Any, http: Any, wait_until: Any) -> None:
    parts = {path: path.read_bytes() for path in bucket.folder.iterdir()}
    for path in parts:
        path.unlink()
    service = start_own(arguments=TWO, wait_ready=False)
    wait_until(lambda: b"NotFound" in readiness(service, http), "it never says why")
    for path, content in sorted(parts.items()):
        path.write_bytes(content)
    wait_until(lambda: ask(service, http, "/api/health/ready")[0] == 200, "it never becomes ready")
    # From now on no request may find a worker without its model.
    for _ in range(20):
        assert ask(service, http)[0] == 200


def readiness(service: ServiceProcess, http: Any) -> bytes:
    body: bytes = http.exchange(service, http.request("/api/health/ready", method="GET")).body
    return body


def test_the_workers_end_with_their_parent(start_own: Any, wait_until: Any) -> None:
    service = start_own(arguments=TWO)
    pids = workers(service)
    os.kill(service.pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in pids), "the workers outlive their parent")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_signal_to_the_whole_group_counts_once(
    start_own: Any, http: Any, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    """So does Ctrl-C in a terminal, and `ServiceProcess.stop`."""
    service = start_own(arguments=TWO, shutdown={"drain_seconds": 1})
    os.killpg(service.pid, signal.SIGTERM)
    wait_until(lambda: b"Draining" in readiness(service, http), "the probe never says no")
    assert ask(service, http)[0] == 200
    wait_until(lambda: not service.running, "it never ends")
    assert service.exit_code == 0


def test_whichever_worker_is_asked_tells_the_figures_of_all(start_own: Any, http: Any) -> None:
    service = start_own(arguments=TWO, metrics={"enabled": True})
    predicted = 'http_requests_total{method="POST"'
    for answered in range(1, 21):
        assert ask(service, http)[0] == 200
        lines = figures(service, http)
        assert sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(predicted)) == answered
        assert all('worker="0"' in line or 'worker="1"' in line for line in lines)
        assert [line for line in lines if line.startswith("service_ready")] == [
            'service_ready{worker="0"} 1.0',
            'service_ready{worker="1"} 1.0',
        ]


def test_a_worker_that_does_not_answer_is_told_of_as_it_was(start_own: Any, http: Any) -> None:
    service = start_own(arguments=TWO, metrics={"enabled": True})
    before = figures(service, http)
    stopped = min(workers(service))
    os.kill(stopped, signal.SIGSTOP)
    try:
        # The kernel may hand the connection to the one that has been stopped; the other one answers a later one.
        after: list[str] = []
        while not after:
            with contextlib.suppress(OSError):
                after = figures(service, http, seconds=3)
    finally:
        os.kill(stopped, signal.SIGCONT)
    for number in "01":
        assert any(f'worker="{number}"' in line for line in before)
        assert any(f'worker="{number}"' in line for line in after)


def test_one_process_has_no_number(start_own: Any, http: Any) -> None:
    assert not any("worker=" in line for line in figures(start_own(metrics={"enabled": True}), http))


def figures(service: ServiceProcess, http: Any, seconds: float = 10) -> list[str]:
    body = http.exchange(service, http.request(METRICS, method="GET"), seconds=seconds).body.decode()
    families = [line for line in body.splitlines() if line.startswith("# TYPE")]
    assert families
    assert len(families) == len(set(families))
    return [line for line in body.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_configuration_that_no_worker_can_use_ends_the_service(start_own: Any, workers: str) -> None:
    with pytest.raises(ServiceError, match=r"(?s)status 2 .*the model class 'nothing.Here' cannot be imported") as told:
        start_own(models=[{"class_path": "nothing.Here", "create_endpoint": True}], arguments=("--workers", workers))
    assert "Traceback" not in str(told.value)
