"""Listing, and storing only what is new, on a real S3 server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Settings, S3Storage


@pytest.fixture
def storage(s3_server: Any, s3_bucket: str) -> S3Storage:
    return S3Storage(s3_bucket, "models/line", s3_server.settings)


def test_every_object_below_is_named_in_order(storage: S3Storage, s3_server: Any, s3_bucket: str) -> None:
    names = ["Z", "a", "d/b/c", "d/b.c", "d-e", "d.zip", "\u00fc", "with space/+&?", "x/y"]
    for name in names:
        storage.write_bytes(name, b"1")
    everything = S3Storage(s3_bucket, "", s3_server.settings)
    everything.write_bytes("models/line-2/other", b"1")
    assert list(storage.names()) == sorted(names)
    assert list(storage.names(".zip")) == ["d.zip"]
    assert list(everything.names()) == ["models/line-2/other", *(f"models/line/{name}" for name in sorted(names))]


def test_a_listing_goes_on_over_pages(s3_server: Any, s3_bucket: str) -> None:
    storage = S3Storage(s3_bucket, "", s3_server.settings)
    names = [f"{number:04}" for number in range(1_010)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: storage.write_bytes(name, b"", overwrite=True), names))
    assert list(storage.names()) == names


def test_a_folder_that_does_not_exist_holds_nothing(storage: S3Storage) -> None:
    assert list(storage.names()) == []


def test_a_bucket_that_does_not_exist_or_cannot(s3_server: Any) -> None:
    with pytest.raises(sp.NotFound, match="no-such-bucket-here"):
        list(S3Storage("no-such-bucket-here", "", s3_server.settings).names())
    with pytest.raises(sp.ConfigurationError, match="is not usable"):
        list(open_storage("s3://B_", settings=s3_server.settings).names())


def test_wrong_credentials(s3_server: Any, s3_bucket: str) -> None:
    storage = S3Storage(s3_bucket, "", S3Settings(s3_server.url, s3_server.access_key, "mistaken-secret"))
    with pytest.raises(sp.AccessDenied):
        list(storage.names())


def test_a_small_object_is_overwritten_only_on_purpose(storage: S3Storage) -> None:
    storage.write_bytes("a", b"old")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write_bytes("a", b"new")
    assert storage.read("a", 3) == b"old"
    storage.write_bytes("a", b"new", overwrite=True)
    assert storage.read("a", 3) == b"new"


def test_large_objects_are_stored_in_parts_whether_new_or_not(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(6 << 20))
    for overwrite in (False, True):
        storage.write("large", tmp_path / "large", overwrite=overwrite)
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write("large", tmp_path / "large")
