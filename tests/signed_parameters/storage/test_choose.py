from pathlib import Path

import pytest

import signed_parameters as sp
from signed_parameters.storage import FileStorage, locate, open_storage
from signed_parameters.storage.s3 import S3Storage


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("package.zip", "package.zip"),
        ("folder/package.zip", "folder/package.zip"),
        ("/package.zip", "/package.zip"),
        ("/folder/package.zip", "/folder/package.zip"),
        ("/folder/with space%20/p.zip", "/folder/with space%20/p.zip"),
        ("file:///package.zip", "/package.zip"),
        ("file:///folder/package.zip", "/folder/package.zip"),
        ("file://localhost/folder/package.zip", "/folder/package.zip"),
        ("file:///folder%20name/a%20b.zip", "/folder name/a b.zip"),
        ("file:///folder#1/a?b.zip", "/folder#1/a?b.zip"),
        ("s3://bucket/package.zip", "s3://bucket/package.zip"),
        ("s3://bucket/a/b/package.zip", "s3://bucket/a/b/package.zip"),
        ("s3://bucket/a%20b.zip", "s3://bucket/a%20b.zip"),
    ],
)
def test_an_address_leads_to_its_object(uri: str, address: str) -> None:
    storage, name = locate(uri)
    assert storage.address(name) == address


@pytest.mark.parametrize(
    "uri",
    [
        *("", "/", "folder/", "s3://", "s3://bucket", "s3://bucket/", "s3:///package.zip", "file://", "file:///"),
        *("file://host/package.zip", "file://folder/package.zip", "http://host/package.zip", "ftp://a/b", "x://y/z"),
        *("file://[x/y", "https://[::1/package.zip", "https://[zz]/package.zip", "https://host/\udcff.zip"),
        *("gs://a b/package.zip", "gs://../package.zip", "gs://b?c=d/package.zip", "az://UPPER/p.zip", "az://a/p.zip"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(uri: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"expected|names no"):
        locate(uri)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(sp.ConfigurationError, match=r"expected s3://.*, or a path, found ftp://"):
        open_storage("ftp://host/folder")


def test_the_address_chooses_the_storage(tmp_path: Path) -> None:
    assert isinstance(open_storage(str(tmp_path)), FileStorage)
    assert isinstance(open_storage(tmp_path.as_uri()), FileStorage)
    assert isinstance(open_storage("s3://bucket/folder"), S3Storage)


@pytest.mark.parametrize("uri", ["a\0b", "file:///a%00/b", "file:///a/%00"])
def test_an_address_with_a_null_byte_is_refused(uri: str, policy: sp.TrustPolicy) -> None:
    with pytest.raises(sp.ConfigurationError, match="is no path"):
        sp.verify_package(uri, policy)
