import io
import os
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters.layout import Entry, check_layout, closing_bytes, read_at

GIBIBYTE = 1 << 30
FILES = {"a.txt": b"one", "b/empty": b"", "c.bin": bytes(range(256))}


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "archive.zip", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


def _sizes(files: dict[str, bytes]) -> list[tuple[str, int]]:
    return [(name, len(data)) for name, data in files.items()]


def test_the_layout_is_a_zip_that_python_reads(workshop: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(workshop.archive(FILES))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_layout_is_a_zip_that_unzip_reads(workshop: Any, tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(workshop.archive(FILES))
    try:
        result = subprocess.run(["unzip", "-t", tmp_path / "archive.zip"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unzip is not installed")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No errors detected" in result.stdout


def test_the_entries_of_a_good_archive_are_found(workshop: Any, descriptor: int) -> None:
    os.pwrite(descriptor, workshop.archive(FILES), 0)
    entries = check_layout(descriptor, _sizes(FILES))
    for name, data in FILES.items():
        assert read_at(descriptor, entries[name].size, entries[name].data_offset) == data
        assert entries[name].checksum == zlib.crc32(data)


def test_every_byte_outside_the_files_matters(workshop: Any, descriptor: int, refused: Any) -> None:
    good = workshop.archive(FILES)
    os.pwrite(descriptor, good, 0)
    entries = check_layout(descriptor, _sizes(FILES))
    content = {at for entry in entries.values() for at in range(entry.data_offset, entry.end)}
    for at in set(range(len(good))) - content:
        os.pwrite(descriptor, bytes([good[at] ^ 1]), at)
        with refused(sp.MalformedPackage):
            check_layout(descriptor, _sizes(FILES))
            pytest.fail(f"byte {at}")
        os.pwrite(descriptor, good[at : at + 1], at)
    assert check_layout(descriptor, _sizes(FILES)) == entries


def test_an_archive_that_ends_anywhere_early_is_refused(workshop: Any, descriptor: int, refused: Any) -> None:
    good = workshop.archive(FILES)
    os.pwrite(descriptor, good, 0)
    for length in reversed(range(len(good))):
        os.ftruncate(descriptor, length)
        with refused(sp.MalformedPackage):
            check_layout(descriptor, _sizes(FILES))
            pytest.fail(f"{length} bytes")


@pytest.mark.parametrize("size", [2**32 - 2, 2**32 - 1, 2**32, 2**53 - 1])
def test_sizes_that_no_archive_has_are_refused_without_reading_them(descriptor: int, size: int) -> None:
    with pytest.raises(sp.MalformedPackage):
        check_layout(descriptor, [("a", size)] * 3)
    os.pwrite(descriptor, Entry("a", size, 0, 0).local_header(), 0)
    with pytest.raises(sp.MalformedPackage):
        check_layout(descriptor, [("a", size)] * 3)


@pytest.mark.parametrize(
    "sizes",
    [
        [2**32 - 2, 3, 5],
        [2**32 - 1, 3, 5],
        [2**32, 3, 5],
        [5 * GIBIBYTE, 3, 6 * GIBIBYTE],
        [3 * GIBIBYTE, 3 * GIBIBYTE, 0],
    ],
    ids=str,
)
def test_python_reads_archives_of_more_than_4_gibibytes(descriptor: int, sizes: list[int]) -> None:
    entries: list[Entry] = []
    for name, size in zip("abc", sizes, strict=True):
        content = b"xyz" if size == 3 else bytes(size if size < GIBIBYTE else 0)
        entries.append(Entry(name, size, zlib.crc32(content), entries[-1].end if entries else 0))
        os.pwrite(descriptor, entries[-1].local_header(), entries[-1].offset)
        os.pwrite(descriptor, content, entries[-1].data_offset)
    os.pwrite(descriptor, closing_bytes(entries), entries[-1].end)
    with os.fdopen(os.dup(descriptor), "rb") as file, zipfile.ZipFile(file) as archive:
        listed = [
            (info.filename, info.file_size, info.compress_size, info.header_offset) for info in archive.infolist()
        ]
        assert listed == [(entry.name, entry.size, entry.size, entry.offset) for entry in entries]
        for entry in entries:
            with archive.open(entry.name) as content_file:
                assert content_file.read(3) == (b"xyz" if entry.size == 3 else bytes(min(entry.size, 3)))
    assert list(check_layout(descriptor, list(zip("abc", sizes, strict=True))).values()) == entries


def test_python_reads_archives_of_more_than_65535_files() -> None:
    entries = [Entry(f"{number:05}", 0, 0, number * 35) for number in range(65_536)]
    assert len(entries[0].local_header()) == 35
    data = b"".join(entry.local_header() for entry in entries) + closing_bytes(entries)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == 65_536
        assert archive.infolist()[-1].header_offset == entries[-1].offset


_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,8}(/[a-z0-9_]{1,5})?", fullmatch=True)


@given(files=st.dictionaries(_names, st.binary(max_size=50), min_size=1, max_size=5))
def test_any_files_make_an_archive_that_python_reads(files: dict[str, bytes]) -> None:
    entries: list[Entry] = []
    parts = []
    for name, data in files.items():
        entries.append(Entry(name, len(data), zlib.crc32(data), entries[-1].end if entries else 0))
        parts += [entries[-1].local_header(), data]
    with zipfile.ZipFile(io.BytesIO(b"".join(parts) + closing_bytes(entries))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


def test_reading_goes_on_where_the_system_gives_less(
    workshop: Any, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux gives at most 2 GiB at a time; 7 bytes stand for that here."""
    pread = os.pread
    os.pwrite(descriptor, b"0123456789" * 3, 0)
    monkeypatch.setattr(os, "pread", lambda number, size, offset: pread(number, min(size, 7), offset))
    assert read_at(descriptor, 25, 2) == (b"0123456789" * 3)[2:27]
    assert read_at(descriptor, 100, 25) == b"56789"
    assert read_at(descriptor, 0, 0) == b""
