"""Whoever can speak to a scheduler can run code on its workers. So nobody else can."""

import threading
from contextlib import ExitStack
from typing import Any

import dask
import pytest
from distributed import LocalCluster
from distributed.comm import CommClosedError
from distributed.security import Security

from diabetes_risk_model.scoring.cluster import dask_workers_of, workers_of
from signed_parameters import ConfigurationError, Unavailable


def test_a_scheduler_without_tls_is_taken_only_on_purpose() -> None:
    with pytest.raises(ConfigurationError, match="can run code on its workers"), workers_of("tcp://127.0.0.1:1"):
        pass


def test_a_scheduler_elsewhere_is_used_with_the_certificates_of_dask_s_configuration() -> None:
    security = Security.temporary()
    prefix = "distributed.comm.tls"
    configured = {
        f"{prefix}.ca-file": security.tls_ca_file,
        f"{prefix}.client.cert": security.tls_client_cert,
        f"{prefix}.client.key": security.tls_client_key,
    }
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "n_workers": 1, "threads_per_worker": 1}
    with LocalCluster(protocol="tls://", security=security, **options) as cluster:
        with pytest.raises(Unavailable, match="does not answer"), workers_of(cluster.scheduler_address):
            pass
        with dask.config.set(configured), workers_of(cluster.scheduler_address) as client:
            assert client.submit(sum, [1, 2]).result() == 3


def test_a_scheduler_without_tls_is_used_where_that_is_allowed() -> None:
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "n_workers": 1, "threads_per_worker": 1}
    with (
        LocalCluster(protocol="tcp://", **options) as cluster,
        workers_of(cluster.scheduler_address, allow_plain=True) as client,
    ):
        assert client.submit(sum, [1, 2]).result() == 3


def test_a_connection_that_breaks_in_the_background_writes_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def break_in_the_background(loop: Any) -> None:
        tried = threading.Event()

        async def fail() -> None:
            tried.set()
            raise CommClosedError("in <TLS (closed)>: Stream is closed")

        loop.add_callback(fail)
        assert tried.wait(10)
        sent = threading.Event()
        loop.add_callback(sent.set)  # when this is called, what became of the other has been looked at
        assert sent.wait(10)

    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "n_workers": 1, "threads_per_worker": 1}
    with LocalCluster(protocol="tcp://", **options) as cluster:
        with workers_of(cluster.scheduler_address, allow_plain=True) as client:
            break_in_the_background(client.loop)
        assert "Traceback" not in caplog.text
        break_in_the_background(cluster.loop)  # everything else is told as it was
        assert "Traceback" in caplog.text


class _Growing(dict[Any, Any]):
    """What a client knows of its calls, while another thread sends more."""

    def values(self) -> Any:
        for state in super().values():
            yield state
            self[object()] = state


_go_on = threading.Event()  # the workers are threads of this process


def _wait(wanted: bool) -> None:
    if wanted:
        _go_on.wait(60)


def test_a_connection_that_breaks_while_calls_are_sent_is_told_as_any_other() -> None:
    clients = []

    def call_and_break_off(address: str) -> None:
        with dask_workers_of(address, allow_plain=True) as workers:
            client = workers._client
            clients.append(client)
            client.futures = _Growing(client.futures)
            for _ in workers.each(_wait, [False, True, True]):
                client.loop.add_callback(client.scheduler_comm.comm.abort)

    _go_on.clear()
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "n_workers": 1, "threads_per_worker": 3}
    with LocalCluster(protocol="tcp://", **options) as cluster, ExitStack() as stack:
        stack.callback(_go_on.set)
        with pytest.raises(Unavailable, match="the connection to the scheduler broke off"):
            call_and_break_off(cluster.scheduler_address)
    clients[0].close()  # as Dask does when it is collected


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diabetes_risk_model.scoring.cluster._CONNECT_SECONDS", 0.3)
    with pytest.raises(Unavailable, match="does not answer"), workers_of("tcp://127.0.0.1:1", allow_plain=True):
        pass
    with pytest.raises(Unavailable, match="does not answer"), workers_of("tls://127.0.0.1:1"):
        pass


def test_a_scheduler_without_workers_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diabetes_risk_model.scoring.cluster._WORKERS_SECONDS", 0.3)
    with (
        LocalCluster(protocol="tcp://", processes=False, dashboard_address="127.0.0.1:0", n_workers=0) as cluster,
        pytest.raises(Unavailable, match="has no workers"),
        workers_of(cluster.scheduler_address, allow_plain=True),
    ):
        pass


@pytest.mark.parametrize("address", ["", "here", "http://here", "tls://", "tcp://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not usable"), workers_of(address):
        pass
