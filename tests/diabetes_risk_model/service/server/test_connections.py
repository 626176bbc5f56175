"""Clients that hold connections: slow, silent, greedy, or many. The others are served."""

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from diabetes_risk_model.service.process import ServiceProcess

PREDICTION = "/api/models/diabetes_risk_model/prediction"
LIMITS = {"head_seconds": 1.5, "idle_seconds": 1, "answer_seconds": 1.5}


def assert_served(service: ServiceProcess, http: Any) -> None:
    assert http.exchange(service, http.request(PREDICTION, b"{}")).status == 200


def test_a_head_that_comes_byte_by_byte_is_cut_off_and_others_are_served(
    start_own: Any, open_connection: Any, http: Any
) -> None:
    service = start_own(connections={**LIMITS, "idle_seconds": 60})
    fresh, used = open_connection(service), open_connection(service)
    used.sendall(http.request(PREDICTION, b"{}"))
    assert http.read_reply(used).status == 200
    slow = [fresh, used]
    deadline = time.monotonic() + 30
    for byte in b"POST " + b"/" * 1_000:
        assert time.monotonic() < deadline, "a connection is never cut off"
        slow = [connection for connection in slow if taken(connection, bytes([byte]))]
        if not slow:
            break
        assert_served(service, http)
        time.sleep(0.05)


def taken(connection: socket.socket, sent: bytes) -> bool:
    """Send something, and return whether the connection is still open."""
    try:
        connection.sendall(sent)
    except OSError:
        return False
    return True


def test_a_slow_head_is_answered_with_an_error(start_own: Any, open_connection: Any, http: Any) -> None:
    service = start_own(connections=LIMITS)
    connection = open_connection(service)
    connection.sendall(b"POST / HTTP/1.1\r\nHost: te")
    reply = http.read_reply(connection)
    assert (reply.status, reply.json["type"], reply.headers["connection"]) == (408, "RequestTimeout", "close")
    assert connection.recv(1) == b""


def test_connections_without_a_request_are_closed(start_own: Any, open_connection: Any, http: Any) -> None:
    service = start_own(connections=LIMITS)
    silent, used, lines, refused = (open_connection(service) for _ in range(4))
    for connection in (used, lines):
        connection.sendall(http.request(PREDICTION, b"{}"))
        assert http.read_reply(connection).status == 200
    lines.sendall(b"\r\n")
    refused.sendall(b"GET /api/health HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n")
    assert http.read_reply(refused).status == 200
    refused.sendall(b"a part of the body")
    for connection in (silent, used, lines, refused):
        assert connection.recv(1) == b""


HEADS = [
    (b"GET /api/health HTTP/1.1\r\nHost: test\r\nX-Long: %b\r\n\r\n" % (b"x" * 9_000), 431, "HeadTooLarge"),
    (b"GET /%b HTTP/1.1\r\nHost: test\r\n\r\n" % (b"x" * 9_000), 431, "HeadTooLarge"),
    (b"GET / HTTP/1.1\r\nHost: test\r\n" + b"X-Many: 1\r\n" * 900 + b"\r\n", 431, "HeadTooLarge"),
    (b"GET /api/health HTTP/1.1\r\nHost: test\r\nX-Long: %b\r\n\r\n" % (b"x" * 7_000), 200, None),
    (b"this is not HTTP\r\n\r\n", 400, "BadRequest"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "BadRequest"),  # the first bytes of TLS
    (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "BadRequest"),
]


def test_heads_that_do_not_fit_are_errors_of_the_contract(narrow: ServiceProcess, http: Any) -> None:
    for head, status, kind in HEADS:
        reply = http.exchange(narrow, head)
        found = reply.status, reply.json.get("type"), reply.headers["content-type"]
        assert found == (status, kind, "application/json"), head[:80]
        assert_served(narrow, http)


def test_a_head_without_an_end_is_refused(narrow: ServiceProcess, open_connection: Any, http: Any) -> None:
    connection = open_connection(narrow)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nX-Endless: ")
    assert not all(taken(connection, b"x" * 1_000) for _ in range(100_000))
    assert_served(narrow, http)


@pytest.fixture
def narrow(start_own: Any) -> ServiceProcess:
    service: ServiceProcess = start_own(connections={"head_bytes": 8_192})
    return service


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("requests", [1, 30], ids=["one answer", "a row of answers"])
def test_who_never_reads_the_answer_is_cut_off(
    start_own: Any, http: Any, wait_until: Any, open_connection: Any, requests: int
) -> None:
    service = start_own(connections=LIMITS)
    assert_served(service, http)
    wait_until(lambda: sockets(service) == 0, "the port alone is open before")
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
        greedy.settimeout(5)
        greedy.connect(("127.0.0.1", int(service.url.rsplit(":", 1)[1])))
        body = json.dumps([{}] * 10_000).encode()
        try:
            for _ in range(requests):
                greedy.sendall(http.request(PREDICTION + "s", body))
        except OSError:
            assert requests > 1
        wait_until(lambda: sockets(service) == 1, "the answer never waits")
        assert_served(service, http)
        wait_until(lambda: sockets(service) == 0, "the answer is kept for ever")


def sockets(service: ServiceProcess) -> int:
    """Return how many connections the service has, the listening and its own sockets aside."""
    port = int(service.url.rsplit(":", 1)[1])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] != "0A"}
    found = set()
    for descriptor in Path(f"/proc/{service.pid}/fd").iterdir():
        try:
            found.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
        except FileNotFoundError:
            continue
    return len(inodes & found)


def test_too_many_connections_are_turned_away_with_an_error_but_probes_are_answered(
    start_own: Any, open_connection: Any, http: Any, wait_until: Any
) -> None:
    service = start_own(connections={"most": 3})
    held = [open_connection(service) for _ in range(3)]
    reply = http.exchange(service, http.request(PREDICTION, b"{}"))
    assert (reply.status, reply.json["type"]) == (503, "TooManyConnections")
    assert (reply.headers["connection"], reply.headers["retry-after"]) == ("close", "1")
    assert http.exchange(service, http.request("/api/health/ready", method="GET")).status == 200
    held += [open_connection(service) for _ in range(3)]
    beyond = open_connection(service)
    wait_until(lambda: not taken(beyond, http.request(PREDICTION, b"{}")), "it takes any number of connections")
    for connection in held:
        connection.close()
    wait_until(lambda: http.exchange(service, http.request(PREDICTION, b"{}")).status == 200, "it stays crowded")
