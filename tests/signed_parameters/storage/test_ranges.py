"""Parts of objects, what a storage says of them, and removing them: in a folder, on S3, and in the clouds."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from signed_parameters import ConfigurationError, NotFound
from signed_parameters.storage import Storage, open_storage

CONTENT = bytes(range(256)) * 9_000  # more than two chunks


@pytest.fixture(params=["folder", "S3", "Azure"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path))
    if request.param == "S3":
        server, bucket = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        return open_storage(f"s3://{bucket}/folder")
    for name, value in request.getfixturevalue("azure_server").environment.items():
        monkeypatch.setenv(name, value)
    return open_storage(f"az://models/{secrets.token_hex(4)}")


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (5, 5), (1_000, 2_200_000), (len(CONTENT) - 3, len(CONTENT))])
def test_a_part_is_what_stands_there(storage: Storage, start: int, stop: int) -> None:
    storage.write_bytes("object", CONTENT)
    assert storage.read_range("object", start, stop) == CONTENT[start:stop]


def test_a_part_ends_where_the_object_does(storage: Storage) -> None:
    storage.write_bytes("object", b"0123456789")
    assert storage.read_range("object", 8, 100) == b"89"


def test_the_state_differs_where_an_object_was_changed(storage: Storage) -> None:
    storage.write_bytes("object", b"one")
    found = storage.find("object")
    assert (found.size, storage.find("object")) == (3, found)
    storage.write_bytes("object", b"two", overwrite=True)
    assert storage.find("object").state != found.state


def test_what_is_removed_is_gone(storage: Storage) -> None:
    storage.write_bytes("object", b"one")
    storage.remove("object")
    assert list(storage.names()) == []
    for ask in (storage.find, lambda name: storage.read_range(name, 0, 1)):
        with pytest.raises(NotFound):
            ask("object")


def test_google_gives_parts_too(
    google_emulator: str, upload_to_emulator: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google_emulator)
    upload_to_emulator("object", b"0123456789")
    storage = open_storage("gs://models")
    assert (storage.find("object").size, storage.read_range("object", 2, 5)) == (10, b"234")


def test_a_web_server_is_not_read_in_parts() -> None:
    storage = open_storage("https://localhost/folder")
    for ask in (storage.find, storage.remove, lambda name: storage.read_range(name, 0, 1)):
        with pytest.raises(ConfigurationError, match="expected a folder"):
            ask("object")
