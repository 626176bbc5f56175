"""Bad requests, as bytes on a socket to a real service: each gets the contract's `Error`, and never a 500."""

import json
import socket
import time

import pytest

PREDICTION = "/api/models/diabetes_risk_model/prediction"
BATCH = "/api/models/diabetes_risk_model/predictions"
DEEP = 1_500
NESTED = b"[" * DEEP + b"]" * DEEP


@pytest.fixture(params=[PREDICTION, BATCH])
def path(request):
    return request.param


@pytest.fixture(scope="module", autouse=True)
def no_failure_of_the_service(limited):
    """After all tests of this file, the service has not failed once."""
    yield
    assert " 500" not in limited.log()
    assert "Traceback" not in limited.log()


def assert_error(reply, status, kind=None):
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json) == {"type", "messages"}
    assert kind in (None, reply.json["type"])
    assert reply.json["messages"]
    assert all(isinstance(message, str) for message in reply.json["messages"])


@pytest.fixture
def in_path(path):
    """A row as the path takes it: alone, or in an array."""
    return (lambda row: b"[%s]" % row) if path == BATCH else lambda row: row


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{", "not JSON: an error at character"),
        (b"", "not JSON: an error at character"),
        (b'{"age": }', "not JSON: an error at character"),
        (b"{} tail", "not JSON: an error at character"),
        (b"\xff\xfe", "not UTF-8: an error at byte"),
        ('{"age": null}'.encode("utf-16-be"), "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"body_mass_index": NaN}', "NaN is not a number of JSON"),
        (b'{"body_mass_index": Infinity}', "Infinity is not a number of JSON"),
        (b'{"body_mass_index": -Infinity}', "-Infinity is not a number of JSON"),
        (b'{"body_mass_index": ' + b"9" * 4_500 + b"}", "too many digits"),
        (b'{"age": "FROM_80", "age": null}', "the field 'age' is in it twice"),
        (b'{"age": {"a": 1, "a": 1}}', "the field 'a' is in it twice"),
        (b'{"age": ' + NESTED + b"}", "nested too deeply"),
    ],
)
def test_what_is_not_strict_json(limited, http, path, in_path, row, message):
    reply = http.exchange(limited, http.request(path, in_path(row) if row else b""))
    assert_error(reply, 400, "ValidationError")
    assert message in reply.json["messages"][0]


@pytest.mark.parametrize("body", [b"null", b"3", b'"text"', b"true", b"[[]]", b"[1]", b"1e999", b"[{}]", b"{}"])
def test_json_of_another_form(limited, http, path, body):
    reply = http.exchange(limited, http.request(path, body))
    if (path, body) == (PREDICTION, b"{}") or (path == BATCH and body.startswith(b"[")):
        assert reply.status == 200
    else:
        assert_error(reply, 400, "ValidationError")


@pytest.mark.parametrize(
    "row",
    [
        {"body_mass_index": 1e308},
        {"body_mass_index": 10**400},
        {"body_mass_index": -(10**400)},
        {"body_mass_index": True},
        {"body_mass_index": "28"},
        {"body_mass_index": 14.999},
        {"body_mass_index": [28]},
        {"age": ["FROM_80"]},
        {"age": {"FROM_80": 1}},
        {"age": ""},
        {"income": "\ud800"},
        {"age": 0},
        {"general_health": "good"},
        {"weight": 80},
        {"": 1},
        {"\x00\r\nforged": 1},
        {"\ud800": 1},
        {"__class__": 1},
    ],
)
def test_a_value_that_does_not_fit(limited, http, row):
    reply = http.exchange(limited, http.request(PREDICTION, json.dumps(row).encode()))
    assert_error(reply, 400, "ValidationError")
    (message,) = reply.json["messages"]
    name = next(iter(row))
    assert not name.isidentifier() or name in message
    assert message.isprintable()
    reply = http.exchange(limited, http.request(BATCH, json.dumps([{}, row, {}]).encode()))
    assert reply.status == 200
    assert [answer is None for answer in reply.json["predictions"]] == [False, True, False]
    assert [error["index"] for error in reply.json["errors"]] == [1]


def test_infinity_by_a_large_exponent(limited, http):
    reply = http.exchange(limited, http.request(PREDICTION, b'{"body_mass_index": 1e999}'))
    assert_error(reply, 400, "ValidationError")


def test_many_unknown_fields_get_a_short_answer(limited, http):
    body = json.dumps({f"k{number}": 1 for number in range(300)}).encode()
    reply = http.exchange(limited, http.request(PREDICTION, body))
    assert_error(reply, 400)
    assert reply.json["messages"][-1] == "There are 290 more problems."
    reply = http.exchange(limited, http.request(PREDICTION, json.dumps({"k" * 3_000: 1}).encode()))
    assert_error(reply, 400)
    assert len(reply.body) < 300


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON ; charset=UTF-8", 200),
        ('application/json; charset="utf-8"', 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        ("application/json-patch+json", 415),
        ("application/json; charset=utf-16", 415),
        ("text/html, application/json", 415),
        ("", 415),
        ("\xff", 415),
    ],
)
def test_the_media_type_must_be_named(limited, http, path, in_path, content_type, status):
    message = http.request(path, in_path(b"{}")).replace(b"application/json", content_type.encode("latin-1"))
    reply = http.exchange(limited, message)
    assert reply.status == status
    if status != 200:
        assert_error(reply, 415, "UnsupportedMediaType")


def test_a_missing_media_type(limited, http, path):
    message = http.request(path, b"{}").replace(b"Content-Type: application/json\r\n", b"")
    assert_error(http.exchange(limited, message), 415, "UnsupportedMediaType")


def test_a_compressed_body_is_not_unpacked(limited, http, path):
    message = http.request(path, b"{}", extra="Content-Encoding: gzip\r\n")
    assert_error(http.exchange(limited, message), 415, "UnsupportedMediaType")


def test_a_body_that_is_announced_as_too_large(limited, http, path):
    head = http.request(path).replace(b"Content-Length: 0", b"Content-Length: 9999999999999")
    reply = http.exchange(limited, head)
    assert_error(reply, 413, "TooLarge")
    assert reply.headers["connection"] == "close"


def test_a_body_that_is_sent_whole_and_too_large(limited, http, path):
    body = b'{"age": "' + b"x" * 5_000_000 + b'"}'
    assert_error(http.exchange(limited, http.request(path, body)), 413, "TooLarge")


def test_a_body_that_never_says_its_size(limited, http, path):
    """With chunks nothing is announced, so what comes is counted. The service stops reading before the client stops."""
    head = http.request(path).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    sent = 0
    port = int(limited.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        connection.setblocking(False)
        deadline = time.monotonic() + 20
        reply = b""
        while b"\r\n\r\n" not in reply:
            assert time.monotonic() < deadline, "the service reads for ever"
            try:
                sent += connection.send(chunk)
            except (BlockingIOError, ConnectionError):
                time.sleep(0.001)
            try:
                reply += connection.recv(65_536)
            except BlockingIOError:
                continue
    assert reply.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("size", [-1, 0, 1])
def test_the_limit_is_exact(limited, http, limits, size):
    body = b"{}".ljust(limits["prediction_bytes"] + size)
    reply = http.exchange(limited, http.request(PREDICTION, body))
    assert reply.status == (413 if size > 0 else 200)


def test_a_client_that_sends_nothing_more_is_told_after_the_time(limited, http, path):
    reply = http.exchange(limited, http.request(path, b"{}")[:-1])
    assert_error(reply, 408, "RequestTimeout")
    assert reply.headers["connection"] == "close"


def test_a_client_that_drips_does_not_gain_time(limited, http, path):
    port = int(limited.url.rsplit(":", 1)[1])
    body = http.request(path, b" " * 1_000)
    with socket.create_connection(("127.0.0.1", port), timeout=0.02) as connection:
        connection.sendall(body[:-1_000])
        for _ in range(500):
            connection.sendall(b" ")
            try:
                reply = http.read_reply(connection)
                break
            except TimeoutError:
                continue
        else:
            raise AssertionError("the service waits for ever")
    assert_error(reply, 408, "RequestTimeout")


def test_slow_clients_do_not_hold_up_others(limited, http):
    port = int(limited.url.rsplit(":", 1)[1])
    slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(http.request(PREDICTION, b"{}")[:-1])
        assert http.exchange(limited, http.request(PREDICTION, b"{}")).status == 200
        assert {http.read_reply(connection).status for connection in slow} == {408}
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_breaks_off_leaves_no_trace(limited, http, path):
    port = int(limited.url.rsplit(":", 1)[1])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(http.request(path, b"{}")[:-1])
    assert http.exchange(limited, http.request(PREDICTION, b"{}")).status == 200
    assert "Traceback" not in limited.log()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method(limited, http, path, method):
    reply = http.exchange(limited, http.request(path, b"", method=method))
    assert_error(reply, 405, "MethodNotAllowed")
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("/nothing", "NotFound"),
        (f"{PREDICTION}/", "NotFound"),
        ("/api/models/another/prediction", "NotFound"),
        ("/api/models/another/metadata", "NotFound"),
        ("/%ff%00", "NotFound"),
        (f"/api/models/{'x' * 9_000}/metadata", "NotFound"),
        ("/api/models/%0d%0aforged/metadata", "NotFound"),
    ],
)
def test_a_path_that_is_not_there(limited, http, wanted, kind):
    method = "GET" if wanted.endswith("metadata") else "POST"
    assert_error(http.exchange(limited, http.request(wanted, b"", method=method)), 404, kind)
