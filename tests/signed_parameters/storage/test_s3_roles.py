"""Roles of AWS: a server hands out keys as EKS and ECS do, and S3 is read with them."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import signed_parameters as sp
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Settings

TOKEN = "a-token-that-nobody-may-see"
ARN = "arn:aws:iam::123456789012:role/models"


class Keys(http.server.ThreadingHTTPServer):
    """Gives the keys of the S3 server for a token, as the token service and as a container's own address."""

    def __init__(self, s3_server: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.access_key, self.secret_key = s3_server.access_key, s3_server.secret_key
        self.expires = timedelta(hours=1)
        self.status, self.body = 200, ""
        self.asked: list[str] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Keys

    def do_GET(self) -> None:
        self._answer(self.headers.get("Authorization") == TOKEN, json.dumps(self._keys("Token")))

    def do_POST(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        right = (asked["Action"], asked["WebIdentityToken"], asked["RoleArn"])
        keys = "".join(f"<{name}>{value}</{name}>" for name, value in self._keys("SessionToken").items())
        name = "AssumeRoleWithWebIdentity"
        body = f"<{name}Result><Credentials>{keys}</Credentials></{name}Result>"
        body = f'<{name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{body}</{name}Response>'
        self._answer(right == (name, TOKEN, ARN), body)

    def _keys(self, token: str) -> dict[str, str]:
        expires = (datetime.now(UTC) + self.server.expires).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": self.server.access_key, "SecretAccessKey": self.server.secret_key}
        return {**keys, token: "", "Expiration": expires}

    def _answer(self, right: bool, body: str) -> None:
        self.server.asked.append(self.command)
        content = (self.server.body or body).encode()
        self.send_response(self.server.status if right else 403)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def keys(s3_server: Any) -> Iterator[Keys]:
    with Keys(s3_server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_environment(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")) or name.lower().endswith("_proxy") or name == "USE_SSL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)


@pytest.fixture
def by_container(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{keys.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN)
    return keys


@pytest.fixture
def by_service_account(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ARN)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", keys.url)
    return keys


@pytest.mark.parametrize("role", ["by_container", "by_service_account"])
def test_a_role_s_keys_are_asked_for_once_and_used(role: str, s3_bucket: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(role)
    storage = open_storage(f"s3://{s3_bucket}")
    storage.write_bytes("model.zip", b"content")
    assert storage.read("model.zip", 100) == b"content"
    assert list(storage.names()) == ["model.zip"]
    assert len(server.asked) <= 3  # one for each client of the storage: to read, to create, to list


def test_keys_that_expire_are_exchanged(by_container: Keys, s3_bucket: str) -> None:
    by_container.expires = timedelta(seconds=-1)
    storage = open_storage(f"s3://{s3_bucket}")
    for _ in range(3):
        assert list(storage.names()) == []
    assert len(by_container.asked) >= 3


def test_keys_of_one_s_own_and_nobody_come_before_a_role(
    by_container: Keys, s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    assert list(open_storage(f"s3://{s3_bucket}").names()) == []
    monkeypatch.setenv("awsAnonymousCredential", "true")
    assert S3Settings.from_environment() == S3Settings(s3_server.url)
    assert by_container.asked == []


@pytest.mark.parametrize("role", ["by_container", "by_service_account"])
@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (403, "", "HTTP 403"),
        (404, f"no {TOKEN}", "HTTP 404"),
        (200, "{}", "KeyError|ParseError"),
        (200, "[]", "AttributeError|TypeError|ParseError"),
        (200, "<a/>", "JSONDecodeError|ValueError"),
        (200, "no keys", "JSONDecodeError|ParseError"),
    ],
)
def test_what_gives_no_keys_is_refused_without_a_word_of_the_token(
    role: str, status: int, body: str, found: str, s3_bucket: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(role)
    server.status, server.body = status, body
    with pytest.raises(sp.AccessDenied, match=rf"no keys of the role.*found ({found})") as refused:
        list(open_storage(f"s3://{s3_bucket}").names())
    assert TOKEN not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_who_does_not_answer_is_unavailable(by_service_account: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    with pytest.raises(sp.Unavailable, match="who gives the keys of the role for S3 does not answer") as refused:
        list(open_storage("s3://models").names())
    assert TOKEN not in str(refused.value)


def test_a_token_file_that_is_missing_is_told(by_service_account: Keys, tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    with pytest.raises(sp.AccessDenied, match="Check the role, whom it trusts, and the file"):
        list(open_storage("s3://models").names())
    assert by_service_account.asked == []
