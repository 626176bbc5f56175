"""Archives that are brought to be signed, and cost more to list than any package does."""

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.package import list_files
from signed_parameters.statement import MAXIMUM_FILES

_MEBIBYTE = 1 << 20


@contextmanager
def _opened(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("archive")
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def _crowded(count: int) -> bytes:
    """Return an archive of nothing but a directory, with as many records as one asks for."""
    record = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, 20, 0, 0, 0, 33, *[0] * 10)
    size = count * len(record)
    end = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, 0)
    end += struct.pack("<4sIQI", b"PK\x06\x07", 0, size, 1)
    return record * count + end + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)


def test_a_directory_of_more_records_than_a_package_can_have(refused: Any) -> None:
    """Each record of 46 bytes takes several times that to list: a file of 4 GiB would take tens."""
    data = _crowded(400_000)
    with zipfile.ZipFile(io.BytesIO(_crowded(3))) as archive:
        assert len(archive.infolist()) == 3
    with _opened(data) as descriptor:
        tracemalloc.start()
        try:
            with refused(sp.MalformedPackage, match="directory is larger than any package's"):
                list_files(descriptor)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * _MEBIBYTE


@pytest.mark.parametrize("length", [1, 240])
def test_the_largest_directory_is_listed(workshop: Any, length: int) -> None:
    files = {f"{number:05}".rjust(max(5, length), "x"): b"" for number in range(MAXIMUM_FILES)}
    with _opened(workshop.archive(dict(sorted(files.items())))) as descriptor:
        assert len(list_files(descriptor)) == MAXIMUM_FILES
