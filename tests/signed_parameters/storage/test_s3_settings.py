"""What the environment says of an S3 server, by the names of the AWS tools, of KServe, and of Seldon Core."""

import base64
import http.server
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Settings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")) or name.lower().endswith("_proxy") or name == "USE_SSL":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, S3Settings()),
        ({"AWS_ENDPOINT_URL": "http://h:1", "AWS_DEFAULT_REGION": "r"}, S3Settings("http://h:1", region="r")),
        ({"AWS_REGION": "r"}, S3Settings(region="r")),
        ({"S3_ENDPOINT": "h:1"}, S3Settings("https://h:1")),
        ({"S3_ENDPOINT": "h:1", "S3_USE_HTTPS": "0"}, S3Settings("http://h:1")),
        ({"AWS_ENDPOINT_URL": "h:1", "USE_SSL": "false"}, S3Settings("http://h:1")),
        ({"AWS_ENDPOINT_URL": "h:1", "USE_SSL": "true"}, S3Settings("https://h:1")),
        ({"AWS_ENDPOINT_URL": "https://h:1", "S3_USE_HTTPS": "0"}, S3Settings("https://h:1")),
        ({"S3_VERIFY_SSL": "0"}, S3Settings(check_certificate=False)),
        ({"AWS_SESSION_TOKEN": "t"}, S3Settings(session_token="t")),
        ({"awsAnonymousCredential": "True", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}, S3Settings()),
    ],
)
def test_the_environment_says_how_to_reach_the_server(
    environment: dict[str, str], expected: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert S3Settings.from_environment() == expected


@pytest.mark.parametrize("name", ["S3_VERIFY_SSL", "awsAnonymousCredential"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "perhaps")
    with pytest.raises(sp.ConfigurationError, match=f"{name} is not usable: expected true or false, found 'perhaps'"):
        S3Settings.from_environment()


def test_a_session_token_is_sent_and_not_shown() -> None:
    settings = S3Settings("http://h", "access", "secret", session_token="very-secret")
    assert "very-secret" not in repr(settings)
    settings.client()


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str], list[str | None]]]:
    """A proxy that answers everything itself, the URLs that it was asked for, and who asked as they say."""
    asked: list[str] = []
    askers: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            askers.append(self.headers["Proxy-Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked, askers
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_environment_s_proxy_is_used(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, asked, _ = proxy
    monkeypatch.setenv("HTTP_PROXY", url.removeprefix("http://"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://storage.invalid:9000")
    assert open_storage("s3://bucket/folder").read("a", 100) == b"hello"
    assert asked == ["http://storage.invalid:9000/bucket/folder/a"]


def test_no_proxy_is_used_where_the_environment_says_so(
    proxy: Any, s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked, _ = proxy
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    storage = open_storage(f"s3://{s3_bucket}", settings=s3_server.settings)
    storage.write_bytes("a", b"true")
    assert storage.read("a", 100) == b"true"
    assert asked == []


def test_a_proxy_gets_its_password(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _, askers = proxy
    monkeypatch.setenv("HTTP_PROXY", url.replace("://", "://name:p%40ss@"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://storage.invalid:9000")
    assert open_storage("s3://bucket").read("a", 100) == b"hello"
    assert askers == [f"Basic {base64.b64encode(b'name:p@ss').decode()}"]


@pytest.mark.parametrize(
    "endpoint", ["http://h/?token=very-secret", "http://name:very-secret@h", "http://h#very-secret"]
)
def test_an_endpoint_that_is_not_usable_is_not_shown_with_its_secret(endpoint: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="S3 endpoint is not usable") as caught:
        S3Settings(endpoint).client()
    assert "very-secret" not in str(caught.value)


def test_a_proxy_that_is_not_usable_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://name:very-secret@host")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://storage.invalid:9000")
    with pytest.raises(sp.ConfigurationError, match="proxy for http:// addresses is not usable") as caught:
        open_storage("s3://bucket")
    assert "very-secret" not in str(caught.value)
