import copy
import hashlib
import io
import os
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters import package as package_module
from signed_parameters.digests import DigestAlgorithm, digest_bytes
from signed_parameters.package import list_files

# What a package of these files is, in every version from 0.1.0: deployed packages are verified by it.
_GOLDEN_FILES = {"model.pkl": b"\x80\x04N.", "reports/metrics.json": b'{"auc": 0.8}'}
_GOLDEN_SHA256 = "d68f7bf78fca6e4c6861fd793fa39e481c7d1c31b7ac4e241af3170c0cb6fe39"


def _write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    folder.mkdir()
    paths = {name: folder / str(number) for number, name in enumerate(files)}
    for name, data in files.items():
        paths[name].write_bytes(data)
    return paths


def _list(data: bytes, folder: Path) -> list[tuple[str, int]]:
    path = folder / "any.zip"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list_files(descriptor)
    finally:
        os.close(descriptor)


def test_a_package_is_a_zip_of_its_files(tmp_path: Path) -> None:
    files = {"model.pkl": b"N.", "reports/profile.html": b"<html>", "empty": b""}
    path = sp.build_package(tmp_path / "package.zip", _write(tmp_path / "sources", files))
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.testzip() is None


def test_the_format_has_not_changed(tmp_path: Path) -> None:
    path = sp.build_package(tmp_path / "package.zip", _write(tmp_path / "sources", _GOLDEN_FILES))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == _GOLDEN_SHA256


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    files = {"b": b"2", "a": b"1", "c/d": b"3"}
    first = sp.build_package(tmp_path / "1.zip", _write(tmp_path / "one", files))
    other = _write(tmp_path / "two", dict(reversed(files.items())))
    for path in other.values():
        os.utime(path, (0, 0))
        path.chmod(0o700)
    assert sp.build_package(tmp_path / "2.zip", other).read_bytes() == first.read_bytes()


def test_the_package_that_was_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "package.zip").write_bytes(b"old")
    sp.build_package(tmp_path / "package.zip", _write(tmp_path / "sources", {"a": b"1"}))
    assert zipfile.is_zipfile(tmp_path / "package.zip")


def test_a_file_of_several_chunks_is_stored_whole(tmp_path: Path) -> None:
    data = os.urandom(5 << 19)
    path = sp.build_package(tmp_path / "package.zip", _write(tmp_path / "sources", {"a": data}))
    with zipfile.ZipFile(path) as archive:
        assert archive.read("a") == data


def test_what_was_built_is_a_path_that_knows_its_digests(tmp_path: Path) -> None:
    files = {"b": os.urandom(3 << 20), "a": b"1", "empty": b""}
    built = sp.build_package(tmp_path / "package.zip", _write(tmp_path / "sources", files))
    assert built == tmp_path / "package.zip"
    assert str(built) == str(tmp_path / "package.zip")
    assert built.digest == digest_bytes(built.read_bytes(), DigestAlgorithm.BLAKE3)
    assert [(file.name, file.size, file.digest) for file in built.files] == [
        (name, len(files[name]), digest_bytes(files[name], DigestAlgorithm.BLAKE3)) for name in sorted(files)
    ]


def test_a_path_that_is_made_from_what_was_built_knows_nothing(tmp_path: Path) -> None:
    built = sp.build_package(tmp_path / "package.zip", _write(tmp_path / "sources", {"a": b"1"}))
    others = (built.parent, built.with_name("other.zip"), built / "x", Path(built), copy.copy(built))
    assert [getattr(other, "digest", None) for other in others] == [None] * len(others)


def test_a_source_that_changes_while_it_is_packed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size stays the same: the change comes after the checksum was taken, and before the bytes are copied."""
    sources = _write(tmp_path / "sources", {"a": bytes(6 << 20)})
    chunks = 0

    def checksum_then_change(chunk: bytes, before: int) -> int:
        nonlocal chunks
        chunks += 1
        if chunks == 3:
            sources["a"].write_bytes(b"x" + bytes((6 << 20) - 1))
        return zlib.crc32(chunk, before)

    monkeypatch.setattr(package_module, "zlib", SimpleNamespace(crc32=checksum_then_change))
    with pytest.raises(sp.ConfigurationError, match="changed while it was read"):
        sp.build_package(tmp_path / "package.zip", sources)
    assert not (tmp_path / "package.zip").exists()


def test_after_a_failure_the_old_package_is_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "package.zip").write_bytes(b"old")
    sources = _write(tmp_path / "sources", {"a": b"1"})
    with pytest.raises(sp.ConfigurationError, match=r"cannot be built.*missing"):
        sp.build_package(tmp_path / "package.zip", {**sources, "b": tmp_path / "missing"})
    assert (tmp_path / "package.zip").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package.zip", "sources"]


@pytest.mark.parametrize(
    "name", ["", "..", "../a", "/a", "a//b", ".a", "a/.b", "-a", "a b", "a\\b", "a\0b", "a\n", "é", "a" * 241, "a:b"]
)
def test_a_name_that_leads_astray_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="cannot be a file of a package") as caught:
        sp.build_package(tmp_path / "package.zip", {name: tmp_path / "any"})
    assert str(caught.value).isprintable()


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="same name, upper or lower case apart"):
        sp.build_package(tmp_path / "package.zip", {"Model.pkl": "a", "model.pkl": "b"})


@pytest.mark.parametrize("count", [0, 10_001])
def test_no_files_and_too_many_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(sp.ConfigurationError, match=f"expected 1 to 10000 files, found {count}"):
        sp.build_package(tmp_path / "package.zip", {str(number): "any" for number in range(count)})


@pytest.mark.parametrize("source", ["folder", "fifo", "/dev/zero", "/dev/null"])
def test_what_is_no_regular_file_is_not_packed(tmp_path: Path, source: str) -> None:
    """A pipe would never begin, and /dev/zero never end."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(sp.ConfigurationError, match="cannot be built"):
        sp.build_package(tmp_path / "package.zip", {"a": tmp_path / source})
    assert not (tmp_path / "package.zip").exists()


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    sources = _write(tmp_path / "sources", {"a": b"1"})
    with pytest.raises(sp.ConfigurationError, match="cannot be built"):
        sp.build_package(tmp_path / "no folder" / "package.zip", sources)


def test_listing_gives_names_and_sizes(workshop: Any, tmp_path: Path) -> None:
    assert _list(workshop.archive({"a": b"1", "b": b""}), tmp_path) == [("a", 1), ("b", 0)]


@given(st.binary(max_size=300))
def test_listing_arbitrary_bytes_raises_nothing_but_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    with pytest.raises(sp.MalformedPackage):
        _list(data, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("value", [0x00, 0x01, 0x7F, 0xFF])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_listing_a_damaged_archive_raises_nothing_but_our_error(workshop: Any, tmp_path: Path, value: int) -> None:
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as archive, archive.open("a", "w", force_zip64=True) as file:
        file.write(b"1")
    for good in (workshop.archive({"a": b"1", "b": b"2"}), large.getvalue()):
        for at in range(len(good)):
            try:
                _list(good[:at] + bytes([value]) + good[at + 1 :], tmp_path)
            except sp.MalformedPackage:
                continue


_names = st.from_regex(r"[a-z0-9_]{1,8}(/[a-z0-9_]{1,5})?", fullmatch=True)


@given(files=st.dictionaries(_names, st.binary(max_size=50), min_size=1, max_size=4))
def test_any_set_of_files_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, key: sp.SigningKey, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("round-trip")
    path = sp.build_package(folder / "package.zip", _write(folder / "sources", files))
    sp.sign_package(path, key=key, name="m", version="1", parameters_version="1", serial=1)
    with sp.verify_package(path, sp.TrustPolicy(name="m", keys=[key.verification_key])) as package:
        assert {name: package.read(name) for name in package.names} == files
