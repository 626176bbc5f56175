"""MLflow's registry, and what may pretend to be it."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from diabetes_risk_model.promotion.registry import open_registry
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
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(error):
                open_registry(f"http://127.0.0.1:{server.server_port}", "m", local=True).aliases()
        finally:
            server.shutdown()
            thread.join()


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
