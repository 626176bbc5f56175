"""Against a real S3 server, and what is refused before any server is asked."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Settings, S3Storage

MEBIBYTE = 1 << 20
PATIENCE = sp.Limits(connect_seconds=1.0, read_seconds=0.3)


@pytest.fixture
def storage(s3_server: Any, s3_bucket: str) -> S3Storage:
    return S3Storage(s3_bucket, "models/line", s3_server.settings)


# A real server


def test_an_object_survives_the_server(storage: S3Storage, tmp_path: Path) -> None:
    data = os.urandom(2 * MEBIBYTE + 7)
    (tmp_path / "source").write_bytes(data)
    storage.write("a.zip", tmp_path / "source")
    assert storage.read("a.zip", len(data)) == data
    with storage.stream("a.zip") as download:
        assert download.size == len(data)
        assert max(len(chunk) for chunk in download.chunks) <= MEBIBYTE


def test_a_package_is_verified_from_the_server(
    storage: S3Storage, s3_server: Any, s3_bucket: str, make_package: Any, policy: sp.TrustPolicy, monkeypatch: Any
) -> None:
    path = make_package({"a": b"hello"})
    for file in (path, Path(f"{path}.dsse.json")):
        storage.write(file.name, file)
    with sp.verify_package(path.name, policy, storage=storage) as package:
        assert package.read("a") == b"hello"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    with sp.verify_package(f"s3://{s3_bucket}/models/line/package.zip", policy) as package:
        assert package.read("a") == b"hello"


def test_an_object_is_overwritten_only_on_purpose(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    storage.write("a", tmp_path / "old")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write("a", tmp_path / "new")
    assert storage.read("a", 3) == b"old"
    storage.write("a", tmp_path / "new", overwrite=True)
    assert storage.read("a", 3) == b"new"


def test_an_object_above_its_limit_is_refused(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(101))
    storage.write("a", tmp_path / "source")
    with pytest.raises(sp.TooLarge, match="expected at most 100 bytes, found 101 bytes"):
        storage.read("a", 100)


def test_an_object_that_is_missing(storage: S3Storage, s3_server: Any) -> None:
    with pytest.raises(sp.NotFound, match=r"a.zip does not exist at .*Check the bucket and the name") as caught:
        storage.read("a.zip", 1)
    assert s3_server.url in str(caught.value)


def test_a_bucket_that_is_missing(s3_server: Any, tmp_path: Path) -> None:
    storage = S3Storage("no-such-bucket-here", "", s3_server.settings)
    with pytest.raises(sp.NotFound, match=r"s3://no-such-bucket-here/a\.zip does not exist"):
        storage.read("a.zip", 1)
    (tmp_path / "source").touch()
    with pytest.raises(sp.NotFound):
        storage.write("a.zip", tmp_path / "source")


@pytest.mark.parametrize("wrong", ["access_key", "secret_key", "both missing"])
def test_wrong_credentials(s3_server: Any, s3_bucket: str, tmp_path: Path, wrong: str) -> None:
    keys = {"access_key": s3_server.access_key, "secret_key": s3_server.secret_key}
    keys = {} if wrong == "both missing" else {**keys, wrong: "mistaken-secret"}
    storage = S3Storage(s3_bucket, "", S3Settings(s3_server.url, **keys))
    (tmp_path / "source").write_bytes(b"data")
    for attempt in (lambda: storage.read("a.zip", 1), lambda: storage.write("a.zip", tmp_path / "source")):
        with pytest.raises(sp.AccessDenied, match="Check the access key, the secret key") as caught:
            attempt()
        assert s3_server.url in str(caught.value)
        assert "mistaken-secret" not in str(caught.value)
        assert s3_server.secret_key not in str(caught.value)


# Configuration


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "http://", "ftp://host", "http://host/path", "http://host?query", "http://host#part", "http://[::1"),
        *(
            "http://host:99999",
            "http://host:port",
            "http://ho st",
            "http://host\n",
            "http://-host",
            "s3.example.com/path",
        ),
    ],
)
def test_an_endpoint_that_is_no_server_is_refused(endpoint: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="expected http://HOST:PORT or https://HOST"):
        S3Settings(endpoint).client()


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:9000", "https://s3.example.com", "http://[::1]:9000", "minio:9000", "http://h/"]
)
def test_an_endpoint_that_is_a_server_is_taken(endpoint: str) -> None:
    S3Settings(endpoint, "access", "secret").client()


@pytest.mark.parametrize("endpoint", ["http://user:very-secret@host", "user:very-secret@host", "http://very-secret@h"])
def test_a_password_in_the_endpoint_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(sp.ConfigurationError) as caught:
        S3Settings(endpoint).client()
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("keys", [("access", None), (None, "very-secret"), ("access", ""), ("", "very-secret")])
def test_half_of_the_credentials_is_refused(keys: tuple[str | None, str | None]) -> None:
    with pytest.raises(sp.ConfigurationError, match="both an access key and a secret key, or neither") as caught:
        S3Settings("http://localhost:9", *keys).client()
    assert "very-secret" not in str(caught.value)


def test_certificate_authorities_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(sp.ConfigurationError, match="AWS_CA_BUNDLE is not usable: expected a file, found '/no/such"):
        S3Settings("https://localhost:9").client()


def test_the_secret_is_not_shown() -> None:
    assert "very-secret" not in repr(S3Settings("http://localhost", "access", "very-secret"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"ENDPOINT_URL": "http://h:1", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "r"}
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert S3Settings.from_environment() == S3Settings("http://h:1", "a", "s", "r")
    for name in values:
        monkeypatch.setenv(f"AWS_{name}", "")
    assert S3Settings.from_environment() == S3Settings()


@pytest.mark.parametrize("bucket", ["A_", "a", "a..b", "x" * 64, "192.168.0.1"])
def test_a_bucket_name_that_cannot_be_is_refused(bucket: str) -> None:
    storage = open_storage(f"s3://{bucket}", settings=S3Settings("http://127.0.0.1:9", "access", "secret"))
    with pytest.raises(sp.ConfigurationError, match="is not usable"):
        storage.read("a", 1)


# Servers that misbehave


def test_a_server_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    storage = S3Storage("bucket", "", S3Settings(url, "access", "very-secret"), PATIENCE)
    with pytest.raises(
        sp.Unavailable, match=f"{url} does not answer.*s3://bucket/a.zip.*NewConnectionError.*try again"
    ):
        storage.read("a.zip", 1)
