"""The registry's messages: who may wake the watcher."""

import errno
import http.client
import json
import os
import resource
import secrets
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress

import pytest

from diabetes_risk_model.promotion import webhooks
from diabetes_risk_model.promotion.local_registry import LocalRegistry
from diabetes_risk_model.promotion.webhooks import Wakener, is_genuine
from signed_parameters import ConfigurationError

delivery = pytest.importorskip("mlflow.webhooks.delivery", reason="MLflow is not installed")
SECRET = secrets.token_hex(32)
BODY = json.dumps({"entity": "model_version_alias", "action": "created", "data": {}})


def headers(secret=SECRET, body=BODY, *, sent=None, message="a-delivery"):
    """Return the headers that MLflow's own code signs a message with."""
    at = str(int(time.time() if sent is None else sent))
    signature = delivery._generate_hmac_signature(secret, message, at, body)
    return {"X-MLflow-Delivery-Id": message, "X-MLflow-Timestamp": at, "X-MLflow-Signature": signature}


def test_a_message_of_mlflow_s_own_code_is_genuine():
    assert is_genuine(SECRET, headers(), BODY.encode(), time.time())


def test_what_is_changed_is_not_genuine():
    good, now = headers(), time.time()
    assert not is_genuine(SECRET, good, BODY.encode() + b" ", now)
    assert not is_genuine(SECRET, headers(secrets.token_hex(32)), BODY.encode(), now)
    for name, value in good.items():
        assert not is_genuine(SECRET, {**good, name: f"{value}1"}, BODY.encode(), now), name
        assert not is_genuine(SECRET, {key: text for key, text in good.items() if key != name}, BODY.encode(), now)
    version, _, encoded = good["X-MLflow-Signature"].partition(",")
    assert not is_genuine(SECRET, {**good, "X-MLflow-Signature": f"v2,{encoded}"}, BODY.encode(), now)
    assert not is_genuine(SECRET, {**good, "X-MLflow-Signature": f"{version},\u00e9"}, BODY.encode(), now)


def test_a_message_that_is_kept_and_sent_again_later_is_not_genuine():
    old = headers(sent=time.time() - 3_600)
    assert not is_genuine(SECRET, old, BODY.encode(), time.time())
    assert is_genuine(SECRET, old, BODY.encode(), time.time() - 3_600)
    for sent in ("-1", "1e9", "", "9" * 40):
        signature = delivery._generate_hmac_signature(SECRET, "a-delivery", sent, BODY)
        told = {**old, "X-MLflow-Timestamp": sent, "X-MLflow-Signature": signature}
        assert not is_genuine(SECRET, told, BODY.encode(), time.time())


def post(port, body, told):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/", body, told)
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_a_genuine_message_wakes():
    with Wakener(SECRET) as wakener:
        assert post(wakener.port, BODY, headers(secrets.token_hex(32))) == 403
        assert post(wakener.port, BODY, {}) == 403
        assert post(wakener.port, "", {"Content-Length": "99999999999"}) == 413
        assert post(wakener.port, "", {"Content-Length": "-1"}) == 413
        assert not wakener.wait(0)
        assert post(wakener.port, BODY, headers()) == 204
        assert wakener.wait(20)
        assert not wakener.wait(0)


def test_a_short_secret_or_a_taken_port_is_an_error():
    with pytest.raises(ConfigurationError, match="too short"):
        Wakener("secret")
    with Wakener(SECRET) as wakener, pytest.raises(ConfigurationError, match="cannot be listened on"):
        Wakener(SECRET, port=wakener.port)


BEGINNING = b"POST / HTTP/1.1\r\nContent-Length: 1000\r\nX-Slow: "


def client(port):
    """Return a connection that is not let down by a server that keeps it waiting, nor waits for ever."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def seconds_until_closed(connection, drop=b"x", pause=0.05):
    """Send a byte again and again; return after how many seconds the server has enough."""
    start = time.monotonic()
    connection.settimeout(pause)
    with suppress(ConnectionError):
        while time.monotonic() - start < 20:
            connection.sendall(drop)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    break
    return time.monotonic() - start


def serving():
    return [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]


def test_a_whole_request_has_one_deadline(monkeypatch):
    monkeypatch.setattr(webhooks, "_REQUEST_SECONDS", 1.0)
    with Wakener(SECRET) as wakener:
        for beginning in (b"", BEGINNING, BEGINNING + b"x\r\n\r\n{"):
            with client(wakener.port) as connection:
                connection.sendall(beginning)
                assert 0.5 < seconds_until_closed(connection) < 19, beginning


def test_who_says_nothing_has_the_same_deadline(monkeypatch):
    monkeypatch.setattr(webhooks, "_REQUEST_SECONDS", 0.5)
    with Wakener(SECRET) as wakener, client(wakener.port) as connection:
        assert connection.recv(1) == b""


def test_no_more_than_eight_connections_are_served_at_a_time():
    before = len(serving())
    with Wakener(SECRET) as wakener, ExitStack() as stack:
        held = [stack.enter_context(client(wakener.port)) for _ in range(8)]
        for connection in held:
            connection.sendall(BEGINNING)
        for _ in range(100):
            with client(wakener.port) as further, suppress(ConnectionError):
                assert further.recv(1) == b""
        assert len(serving()) - before <= 8
        held.pop().close()
        assert persistently_post(wakener.port, BODY, headers()) == 204
        assert wakener.wait(0)
    deadline = time.monotonic() + 30
    while len(serving()) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(serving()) <= before, "who is still connected is let go when it ends"


def persistently_post(port, body, told):
    """Send a message as MLflow does: again, if the connection is closed."""
    for _ in range(200):
        with suppress(ConnectionError):
            return post(port, body, told)
        time.sleep(0.05)
    return None


def test_a_message_comes_through_because_mlflow_tries_longer_than_slow_clients_are_served(monkeypatch):
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    with Wakener(SECRET) as wakener, ExitStack() as stack, delivery._create_webhook_session() as session:
        held = [stack.enter_context(client(wakener.port)) for _ in range(20)]
        dripping = [threading.Thread(target=seconds_until_closed, args=(connection,)) for connection in held]
        for thread in dripping:
            thread.start()
        answer = session.post(f"http://127.0.0.1:{wakener.port}/", data=BODY.encode(), headers=headers(), timeout=20)
        assert answer.status_code == 204
        assert wakener.wait(0)
        for thread in dripping:
            thread.join()


def test_without_file_descriptors_it_waits_and_does_not_spin():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Wakener(SECRET) as wakener, socket.socket() as connection:
        connection.settimeout(20)
        free = os.dup(connection.fileno())
        os.close(free)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                os.dup(connection.fileno())
            connection.connect(("127.0.0.1", wakener.port))
            used = time.process_time()
            time.sleep(1.5)
            assert time.process_time() - used < 0.1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.0 403"
        assert post(wakener.port, BODY, headers()) == 204


def test_a_message_that_is_sent_again_wakes_nobody():
    with Wakener(SECRET) as wakener:
        first, second = headers(message="first"), headers(message="second")
        for told, wakes in ((first, True), (first, False), (second, True), (first, False), (second, False)):
            assert post(wakener.port, BODY, told) == 204
            assert wakener.wait(0) is wakes


def test_only_genuine_messages_are_remembered():
    with Wakener(SECRET) as wakener:
        assert post(wakener.port, BODY, headers(secrets.token_hex(32))) == 403
        assert post(wakener.port, BODY, headers()) == 204
        assert wakener.wait(0)


def test_deliveries_are_remembered_as_long_as_they_could_be_genuine_and_no_more_than_so_many(monkeypatch):
    monkeypatch.setattr(webhooks, "_REMEMBERED", 3)
    deliveries = webhooks._Deliveries()
    assert deliveries.is_new("a", sent=1_000, now=1_000)
    assert not deliveries.is_new("a", sent=1_000, now=1_300)
    assert deliveries.is_new("early", sent=1_290, now=1_000)
    assert deliveries.is_new("b", sent=1_301, now=1_301)  # "a" is too old to be genuine now, and is forgotten
    assert not deliveries.is_new("early", sent=1_290, now=1_590)
    assert [deliveries.is_new(name, sent=1_301, now=1_301) for name in "cdef"] == [True] * 4
    assert len(deliveries) == 3
    assert not deliveries.is_new("f", sent=1_301, now=1_301)


def test_who_hangs_up_or_talks_nonsense_fills_no_log(capfd):
    nonsense = (b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/9\r\n\r\n", BEGINNING)
    with Wakener(SECRET) as wakener:
        for data in nonsense * 2:
            with client(wakener.port) as connection:
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
                )  # a reset
                connection.sendall(data)
        assert persistently_post(wakener.port, BODY, headers()) == 204
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def sending_registry(tmp_path, monkeypatch):
    """An MLflow server that may send messages to this machine, which it does not of itself."""
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    with LocalRegistry(tmp_path) as server:
        yield server


def test_mlflow_itself_wakes_when_an_alias_is_set(sending_registry):
    def ask(path, **fields):
        url = f"{sending_registry.url}/api/2.0/mlflow/{path}"
        request = urllib.request.Request(url, json.dumps(fields).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    with Wakener(SECRET) as wakener:
        ask("registered-models/create", name="m")
        ask("model-versions/create", name="m", source="s3://elsewhere/model")
        ask(
            "webhooks",
            name="watcher",
            url=f"http://127.0.0.1:{wakener.port}/",
            events=[{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
            secret=SECRET,
        )
        assert not wakener.wait(0)
        ask("registered-models/alias", name="m", alias="staging", version="1")
        assert wakener.wait(30)
