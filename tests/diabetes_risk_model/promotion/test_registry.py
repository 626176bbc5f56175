"""MLflow's registry, and what may pretend to be it."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from diabetes_risk_model.promotion.registry import Registry, open_registry
from signed_parameters import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable


def test_aliases_versions_and_tags(world):
    registry = world.registry()
    assert registry.aliases() == {}
    number = world.register(1)
    registry.set_alias("staging", number)
    registry.set_tag(number, "a.tag", "with é and\nlines")
    assert registry.aliases() == {"staging": number}
    assert registry.version(number).tags["a.tag"] == "with é and\nlines"
    with pytest.raises(NotFound, match="version 99"):
        registry.version("99")


def test_a_model_that_is_not_registered_has_no_alias(make_world):
    assert make_world(registered=False).registry().aliases() == {}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"not JSON", Unavailable),
        (200, b"[]", Unavailable),
        (200, b'{"registered_model": []}', Unavailable),
        (200, b'{"registered_model": {"aliases": [1]}}', Unavailable),
        (200, b'{"registered_model": {"aliases": [{"alias": "staging", "version": "1\\nForged: line"}]}}', Unavailable),
        (200, b"[" * 100_000, Unavailable),
        (302, b"", StorageError),
        (401, b"", AccessDenied),
        (403, b"", AccessDenied),
        (503, b"", Unavailable),
    ],
)
def test_an_odd_answer_is_an_error_of_ours(status, body, error):
    with answering(status, body) as registry, pytest.raises(error):
        registry.aliases()


@contextmanager
def answering(status, body):
    """A registry at which every question has the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *arguments):
            pass

    class Server(HTTPServer):
        def handle_error(self, request, client_address):
            """Say nothing: who asked may hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield open_registry(f"http://127.0.0.1:{server.server_port}", "m", local=True)
        finally:
            server.shutdown()
            thread.join()


def test_words_that_look_like_xml_are_only_words(world):
    number, registry = world.register(1), world.registry()
    registry.set_alias("staging", number)
    registry.set_tag(number, "owner", "<!-- owner: team A -->")
    world.ask("registered-models/set-tag", {"key": "owner", "value": "<!DOCTYPE html>"})
    assert registry.aliases() == {"staging": number}
    assert registry.version(number).tags["owner"] == "<!-- owner: team A -->"


def test_an_answer_that_is_too_large_is_an_odd_one():
    with answering(200, bytes(9 << 20)) as registry, pytest.raises(Unavailable) as raised:
        registry.aliases()
    assert "odd answer" in str(raised.value)
    assert "without end" in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Not Found</html>",
        b"",
        b"[]",
        b"{}",
        b'{"error_code": "ENDPOINT_NOT_FOUND"}',
        b'{"error_code": "NOT_FOUND"}',
        b'{"error_code": ["RESOURCE_DOES_NOT_EXIST"]}',
        b"\xff",
        b"[" * 10_000,
    ],
)
@pytest.mark.parametrize("ask", [Registry.aliases, lambda registry: registry.version("1")], ids=["aliases", "version"])
def test_another_server_is_not_an_empty_registry(body, ask):
    with answering(404, body) as registry, pytest.raises(StorageError) as raised:
        ask(registry)
    assert type(raised.value) is StorageError
    assert "expected MLflow's registry at http://127.0.0.1:" in str(raised.value)
    assert "found HTTP 404" in str(raised.value)


def test_a_wrong_path_of_mlflow_is_not_an_empty_registry(world):
    registry = open_registry(f"{world.server.url}/elsewhere", world.model, local=True)
    with pytest.raises(StorageError, match="expected MLflow's registry at http"):
        registry.aliases()


def test_mlflow_s_own_words_say_that_there_is_none():
    body = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}).encode()
    with answering(404, body) as registry:
        assert registry.aliases() == {}
        with pytest.raises(NotFound, match="version 1 of m"):
            registry.version("1")


@pytest.mark.parametrize("number", ["abc", "", "-1", "1.0", "9" * 30, "\u0661", "1\n", "999999999"])
def test_what_is_no_version_s_number_is_not_found(world, number):
    with pytest.raises(NotFound, match="the registry has no version") as raised:
        world.registry().version(number)
    assert number == "999999999" or "expected a version's number" in str(raised.value)


def test_nobody_there_is_unavailable():
    with pytest.raises(Unavailable, match="does not answer"):
        open_registry("http://127.0.0.1:1", "m", local=True).aliases()


def test_a_password_is_not_sent_in_clear(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "made up here")
    with pytest.raises(ConfigurationError, match="in clear") as raised:
        open_registry("http://mlflow.example.org", "m", local=False)
    assert "made up" not in str(raised.value)
    open_registry("https://mlflow.example.org", "m", local=False)
