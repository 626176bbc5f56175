"""Against Azure's emulator, and against two servers that speak the protocol of Google Cloud Storage."""

import base64
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage import Storage, locate, open_storage
from signed_parameters.storage.cloud_settings import azure_storage
from signed_parameters.storage.remotes import is_remote

MEBIBYTE = 1 << 20
QUICK = sp.Limits(connect_seconds=0.5, read_seconds=0.5)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "AZ_", "GOOGLE_", "STORAGE_", "RCLONE_")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["azure", "google", "azure remote", "google remote", "S3 remote"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a new folder in a cloud, which the environment says how to reach."""
    kind, _, remote = request.param.partition(" ")
    folder = secrets.token_hex(4)
    settings: dict[str, str]
    if kind == "azure":
        server = request.getfixturevalue("azure_server")
        endpoint = f"{server.url}/{server.account}"
        settings = {"TYPE": "azureblob", "ACCOUNT": server.account, "KEY": server.account_key, "ENDPOINT": endpoint}
        environment, address = server.environment, "az://models"
    elif kind == "google":
        url = request.getfixturevalue("google_server")
        settings = {"TYPE": "google cloud storage", "ENDPOINT": url}
        environment, address = {"STORAGE_EMULATOR_HOST": url.removeprefix("http://")}, "gs://models"
    else:
        server, bucket = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")
        settings = {"TYPE": "s3", "ENDPOINT": server.url, "PROVIDER": "Minio"}
        settings |= {"ACCESS_KEY_ID": server.access_key, "SECRET_ACCESS_KEY": server.secret_key}
        environment, address = {}, f"s3://{bucket}"
    if remote:
        environment = {f"RCLONE_CONFIG_MY_CLOUD_{name}": value for name, value in settings.items()}
        address = f"my-cloud:{address.partition('://')[2]}"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"{address}/{folder}"


@pytest.fixture
def storage(cloud: str) -> Storage:
    return open_storage(cloud)


def test_an_object_survives_the_cloud(storage: Storage, tmp_path: Path) -> None:
    data = os.urandom(2 * MEBIBYTE + 7)
    (tmp_path / "source").write_bytes(data)
    storage.write("a.zip", tmp_path / "source")
    assert storage.read("a.zip", len(data)) == data
    with storage.stream("a.zip") as download:
        assert download.size == len(data)
        assert b"".join(download.chunks) == data


def test_a_package_is_pushed_listed_and_verified(cloud: str, make_package: Any, policy: sp.TrustPolicy) -> None:
    path = make_package({"a": b"hello"})
    storage = open_storage(cloud)
    for file in (path, Path(f"{path}.dsse.json")):
        storage.write(file.name, file)
    assert list(storage.names(".zip")) == ["package.zip"]
    with sp.verify_package(f"{cloud}/package.zip", policy) as package:
        assert package.read("a") == b"hello"


def test_a_package_that_was_changed_in_the_cloud_is_refused(
    cloud: str, make_package: Any, policy: sp.TrustPolicy, refused: Any
) -> None:
    path = make_package({"a": b"hello"})
    storage = open_storage(cloud)
    storage.write("package.zip.dsse.json", Path(f"{path}.dsse.json"))
    storage.write_bytes("package.zip", path.read_bytes().replace(b"hello", b"jello"))
    with refused(sp.DigestMismatch):
        sp.verify_package(f"{cloud}/package.zip", policy)


def test_what_is_there_is_not_overwritten_by_accident(storage: Storage) -> None:
    storage.write_bytes("a", b"first")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write_bytes("a", b"second")
    assert storage.read("a", 100) == b"first"
    storage.write_bytes("a", b"second", overwrite=True)
    assert storage.read("a", 100) == b"second"


def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    with pytest.raises(sp.NotFound, match=r"none\.zip does not exist"):
        storage.read("none.zip", 100)


def test_a_name_that_is_no_path_is_refused(storage: Storage) -> None:
    with pytest.raises(sp.SignedParametersError) as caught:
        storage.read("a//../../b", 100)
    assert isinstance(caught.value, sp.ConfigurationError | sp.StorageError)


def test_a_large_object_is_read_up_to_its_limit_only(storage: Storage) -> None:
    storage.write_bytes("a", bytes(3 * MEBIBYTE))
    with pytest.raises(sp.TooLarge):
        storage.read("a", MEBIBYTE)


# What only one cloud has


def test_google_s_emulator_gives_a_package(
    google_emulator: str,
    upload_to_emulator: Callable[[str, bytes], None],
    make_package: Any,
    policy: sp.TrustPolicy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google_emulator)
    path = make_package({"a": b"hello"})
    for file in (path, Path(f"{path}.dsse.json")):
        upload_to_emulator(file.name, file.read_bytes())
    with sp.verify_package("gs://models/package.zip", policy) as package:
        assert package.read("a") == b"hello"
    assert list(open_storage("gs://models").names(".zip")) == ["package.zip"]
    with pytest.raises(sp.NotFound):
        open_storage("gs://models").read("none", 100)


def test_azure_s_own_address_is_understood(azure_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", azure_server.account_key)
    monkeypatch.setenv("AZURE_ENDPOINT", azure_server.environment["AZURE_ENDPOINT"])
    host = f"{azure_server.account}.blob.core.windows.net"
    storage, name = locate(f"https://{host}/models/folder%20a/package.zip")
    storage.write_bytes(name, b"hello", overwrite=True)
    assert open_storage(f"https://{host}/models/folder%20a").read("package.zip", 100) == b"hello"
    with pytest.raises(sp.ConfigurationError, match="names no container"):
        open_storage(f"https://{host}/")


@pytest.mark.parametrize("change", ["wrong key", "anonymous"])
def test_wrong_credentials_are_told_apart(azure_server: Any, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azure_server.environment.items():
        monkeypatch.setenv(name, value)
    if change == "anonymous":
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
        monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
    else:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(secrets.token_bytes(64)).decode())
    with pytest.raises(sp.AccessDenied, match=r"refused.*HTTP 403"):
        open_storage("az://models").read("a", 100)


def test_an_error_shows_no_secret_and_no_answer_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "not-base64-" + secrets.token_hex(8)
    with pytest.raises(sp.ConfigurationError, match="not usable") as caught:
        azure_storage("models", "", QUICK, {"account_name": "a", "account_key": secret})
    assert secret not in str(caught.value)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(sp.Unavailable) as caught_away:
        open_storage("gs://models", limits=QUICK).read("a", 100)
    assert "127.0.0.1" not in str(caught_away.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"GOOGLE_SERVICE_ACCOUNT_KEY": '"very-secret"'},
        {"GOOGLE_SERVICE_ACCOUNT_KEY": '{"disable_oauth": "very-secret"}'},
        {"GOOGLE_SERVICE_ACCOUNT_KEY": "very-secret"},
        {"STORAGE_EMULATOR_HOST": "http://name:very-secret@host"},
        {"STORAGE_EMULATOR_HOST": "::very-secret::"},
        {"AZURE_ENDPOINT": "very-secret"},
        {"AZURE_ENDPOINT": "https://host/?sig=very-secret"},
        {"AZURE_STORAGE_SAS_KEY": "very-secret"},
        {"AZURE_STORAGE_ACCOUNT_KEY": "very-secret"},
    ],
)
def test_no_setting_that_is_not_usable_is_shown(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AZURE_STORAGE_ACCOUNT_NAME": "account", **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(sp.ConfigurationError, match="settings for models are not usable") as caught:
        open_storage(f"{'az' if next(iter(environment)).startswith('AZURE') else 'gs'}://models", limits=QUICK)
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", json.dumps({"client_email": "a"}), ""])
def test_credentials_that_are_none_are_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.json").write_text(text)
    monkeypatch.setenv("RCLONE_CONFIG_G_TYPE", "gcs")
    monkeypatch.setenv("RCLONE_CONFIG_G_SERVICE_ACCOUNT_FILE", str(tmp_path / "key.json"))
    with pytest.raises(sp.ConfigurationError, match="settings for models are not usable"):
        open_storage("g:models")


# Remotes


def test_a_remote_is_one_only_where_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_remote("name:bucket/folder")
    monkeypatch.setenv("RCLONE_CONFIG_NAME_TYPE", "s3")
    assert is_remote("name:bucket/folder")
    assert not is_remote("name://bucket")
    assert not is_remote("/name:bucket")


def test_an_object_at_the_top_of_a_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_NAME_TYPE", "http")
    monkeypatch.setenv("RCLONE_CONFIG_NAME_URL", "https://h.invalid/")
    storage, name = locate("name:package.zip")
    assert storage.address(name) == "https://h.invalid/package.zip"
    monkeypatch.setenv("RCLONE_CONFIG_NAME_TYPE", "s3")
    with pytest.raises(sp.ConfigurationError, match="names no bucket"):
        locate("name:package.zip")


def test_a_remote_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_NAME_TYPE", "dropbox")
    with pytest.raises(sp.ConfigurationError, match=r"expected one of s3, .*, found dropbox"):
        open_storage("name:bucket")


@pytest.mark.parametrize("location", ["name:", "name:/"])
def test_a_remote_without_a_bucket_is_refused(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_NAME_TYPE", "s3")
    with pytest.raises(sp.ConfigurationError, match="names no bucket"):
        open_storage(location)


def test_a_remote_may_take_what_the_environment_says_of_s3(
    s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCLONE_CONFIG_NAME_TYPE", "s3")
    monkeypatch.setenv("RCLONE_CONFIG_NAME_ENV_AUTH", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url.removeprefix("http://"))
    monkeypatch.setenv("USE_SSL", "false")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    storage = open_storage(f"name:{s3_bucket}/folder")
    storage.write_bytes("a", b"hello")
    assert list(open_storage(f"s3://{s3_bucket}/folder").names()) == ["a"]
