"""How the service ends, as a real process: the probe first, no request lost, status 0; and how versions are rolled."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest

from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.process import ServiceProcess
from diabetes_risk_model.training.export import export_onnx
from diabetes_risk_model.training.train import SELECTED

PREDICTION = "/api/models/diabetes_risk_model/prediction"
READY = "/api/health/ready"
PERSON = {"body_mass_index": 31.5, "general_health": "FAIR", "age": "FROM_60_TO_64", "income": "UNDER_20_000"}
LINGERS = {"drain_seconds": 1.5, "request_seconds": 10}


def readiness(service: ServiceProcess, http: Any) -> tuple[int, str | None]:
    reply = http.exchange(service, http.request(READY, method="GET"))
    return reply.status, reply.json.get("reason")


def test_an_open_connection_is_served_while_the_probe_says_no(
    start_own: Any, open_connection: Any, http: Any, wait_until: Any
) -> None:
    service = start_own(shutdown=LINGERS)
    connection = open_connection(service)
    sent = http.request(PREDICTION, b"{}")
    connection.sendall(sent)
    before = http.read_reply(connection)
    assert (before.status, before.headers.get("connection")) == (200, None)
    assert readiness(service, http) == (200, None)

    os.kill(service.pid, signal.SIGTERM)
    wait_until(lambda: readiness(service, http) == (503, "Draining"), "the probe never says no")
    connection.sendall(sent)
    reply = http.read_reply(connection)
    assert (reply.status, reply.headers["connection"], reply.body) == (200, "close", before.body)
    assert connection.recv(1) == b""
    # So is who comes anew, because nobody has told him yet.
    assert http.exchange(service, sent).status == 200
    assert service.running
    wait_until(lambda: not service.running, "it never ends")
    assert service.exit_code == 0
    assert service.status("/api/health") is None


def test_a_request_that_is_under_way_is_answered(
    start_own: Any, open_connection: Any, http: Any, wait_until: Any
) -> None:
    service = start_own()
    connection = open_connection(service)
    sent = http.request(PREDICTION, json.dumps(PERSON).encode())
    connection.sendall(sent[:-5])
    overtake(service, http)
    os.kill(service.pid, signal.SIGTERM)
    wait_until(lambda: service.status("/api/health") is None, "the port is never closed")
    assert service.running
    connection.sendall(sent[-5:])
    reply = http.read_reply(connection)
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    wait_until(lambda: not service.running, "it never ends")
    assert service.exit_code == 0


def overtake(service: ServiceProcess, http: Any) -> None:
    """Exchange something, so that what was sent before on another connection was read."""
    assert http.exchange(service, http.request("/api/health", method="GET")).status == 200


def test_a_request_that_takes_too_long_is_told_so(
    start_own: Any, open_connection: Any, http: Any, wait_until: Any
) -> None:
    service = start_own(shutdown={"drain_seconds": 0, "request_seconds": 1}, limits={"body_seconds": 60})
    connection = open_connection(service)
    connection.sendall(http.request(PREDICTION, b"{}")[:-1])
    overtake(service, http)
    os.kill(service.pid, signal.SIGTERM)
    reply = http.read_reply(connection)
    assert (reply.status, reply.json["type"]) == (503, "Draining")
    wait_until(lambda: not service.running, "it never ends")
    assert service.exit_code == 0


def test_with_the_defaults_it_ends_within_what_containers_are_given(start_own: Any) -> None:
    """The shipped configuration says nothing of the end; a container engine kills what does not end in time."""
    service = start_own(shutdown={})
    service.stop()  # SIGTERM, and after 5 seconds SIGKILL
    assert service.exit_code == 0


def test_connections_on_which_nothing_happens_do_not_hold_up_the_end(
    start_own: Any, open_connection: Any, http: Any, end: Any
) -> None:
    service = start_own()
    silent, used, begun = (open_connection(service) for _ in range(3))
    used.sendall(http.request(PREDICTION, b"{}"))
    assert http.read_reply(used).status == 200
    begun.sendall(b"POST / HTTP/1.1\r\nHost")
    assert end(service) == 0
    assert silent.recv(1) == used.recv(1) == b""


@pytest.mark.parametrize(("second", "workers"), [(signal.SIGTERM, "1"), (signal.SIGINT, "1"), (signal.SIGTERM, "2")])
def test_a_second_signal_ends_it_at_once(
    start_own: Any, http: Any, wait_until: Any, second: signal.Signals, workers: str
) -> None:
    service = start_own(shutdown={"drain_seconds": 3600}, arguments=("--workers", workers))
    os.kill(service.pid, signal.SIGTERM)
    wait_until(lambda: readiness(service, http) == (503, "Draining"), "the probe never says no")
    assert service.running
    os.kill(service.pid, second)
    wait_until(lambda: not service.running, "it never ends")
    assert service.exit_code == 1


def test_a_terminal_does_not_wait_for_probes(start_own: Any, wait_until: Any) -> None:
    service = start_own(shutdown={"drain_seconds": 3600})
    os.kill(service.pid, signal.SIGINT)
    wait_until(lambda: not service.running, "it never ends")
    assert service.exit_code == 0


def test_uvicorn_still_runs_the_application(start_own: Any, http: Any) -> None:
    service = start_own(app="diabetes_risk_model.service.main:app")
    assert readiness(service, http) == (200, None)


class Proxy:
    """A proxy of TCP as a cluster has them: it asks each service whether it is ready, and sends new connections there.

    Connections that are open stay where they are.
    """

    def __init__(self, *services: ServiceProcess) -> None:
        self.services = list(services)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._chosen = services[0]
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=task, daemon=True) for task in (self._accept, self._probe)]

    def __enter__(self) -> "Proxy":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _probe(self) -> None:
        while not self._ended.wait(0.3):
            ready = [service for service in self.services if service.status(READY) == 200]
            self._chosen = ready[0] if ready else self._chosen

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                address = ("127.0.0.1", int(self._chosen.url.rsplit(":", 1)[1]))
                try:
                    far = socket.create_connection(address)
                except OSError:
                    near.close()
                    continue
                threading.Thread(target=_forward, args=(near, far), daemon=True).start()


def _forward(near: socket.socket, far: socket.socket) -> None:
    with near, far:
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Client(threading.Thread):
    """Asks without a pause on connections that it keeps as long as the service does, and counts what comes."""

    def __init__(self, port: int, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._ended = ended
        self.answers: Counter[float] = Counter()
        self.latest: float | None = None
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                headers = {"Content-Type": "application/json"}
                self._connection.request("POST", PREDICTION, json.dumps(PERSON), headers)
                response = self._connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as failure:
                self.failures.append(repr(failure))
                self._connection.close()
                continue
            if response.status != 200:
                self.failures.append(f"{response.status} {body!r}")
                continue
            self.latest = json.loads(body)["probability"]
            self.answers[self.latest] += 1
        self._connection.close()


@contextmanager
def load(port: int) -> Iterator[list[Client]]:
    ended = threading.Event()
    clients = [Client(port, ended) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        ended.set()
        for client in clients:
            client.join()


@pytest.fixture
def two_versions(bucket: Any, trained_model: Any, tmp_path: Any) -> list[dict[str, object]]:
    """The settings of two versions whose answers differ."""
    from sklearn.base import clone

    frame = draw(2_000, seed=2)
    pipeline = clone(trained_model.pipeline).set_params(classifier__n_estimators=5)
    pipeline.fit(frame[list(INPUT_COLUMNS)].to_numpy(dtype=np.float64), frame["Diabetes"].to_numpy())
    model = tmp_path / "other.onnx"
    model.write_bytes(export_onnx(pipeline, SELECTED))
    manifest = trained_model.files["manifest.json"]
    package_parameters(
        {"model.onnx": model, "manifest.json": manifest},
        bucket.folder,
        key=bucket.key,
        parameters_version="2026_12_01",
        serial=2,
    )
    return [bucket.settings(), bucket.settings(model_parameters_version="2026_12_01", minimum_serial=2)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_rolling_to_another_version_loses_no_request(
    start_own: Any, two_versions: list[dict[str, object]], end: Callable[[ServiceProcess], int], workers: str
) -> None:
    old_answer, new_answer = (
        DiabetesRiskModel(**settings).predict(DiabetesRiskModelInput(**PERSON)).probability for settings in two_versions
    )
    assert old_answer != new_answer
    shutdown = {"drain_seconds": 2}
    arguments = ("--workers", workers)
    old = start_own(settings=two_versions[0], shutdown=shutdown, arguments=arguments)
    with Proxy(old) as proxy, load(proxy.port) as clients:
        time.sleep(0.5)
        new = start_own(settings=two_versions[1], shutdown=shutdown, arguments=arguments)
        proxy.services.append(new)
        assert end(old) == 0
        assert all(client.latest == new_answer for client in clients), "a client still asks the old version"
        time.sleep(0.3)
    assert [failure for client in clients for failure in client.failures] == []
    answers = sum((client.answers for client in clients), Counter[float]())
    assert set(answers) == {old_answer, new_answer}
    assert min(answers.values()) > 20
