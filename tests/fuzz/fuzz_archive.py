"""Archives: what is listed and has the layout of a package is, byte for byte, what the format says it must be."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress

from signed_parameters.errors import MalformedPackage
from signed_parameters.layout import Entry, check_layout, closing_bytes, read_at
from signed_parameters.package import list_files
from tests.fuzz.harness import Finding, Harness

_FILES = {"a": b"hello", "b/model.pkl": b"\x80\x04N.", "empty": b""}


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return the package of these files, in the order that is given."""
    entries: list[Entry] = []
    parts = []
    for name, data in files.items():
        entries.append(Entry(name, len(data), zlib.crc32(data), entries[-1].end if entries else 0))
        parts += [entries[-1].local_header(), data]
    return b"".join(parts) + closing_bytes(entries)


def _zip(compression: int = zipfile.ZIP_STORED, *, comment: bytes = b"", zip64: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in _FILES.items():
            with file.open(name, "w", force_zip64=zip64) as entry:
                entry.write(data)
        file.comment = comment
    return stream.getvalue()


def seeds() -> Iterator[bytes]:
    """Yield packages, and zip archives that others write."""
    yield archive(_FILES)
    yield archive({"a": b""})
    yield archive({"b": b"1", "a": b"2"})
    yield b"in front" + archive(_FILES)
    yield archive(_FILES) + b"behind"
    yield from (_zip(), _zip(zipfile.ZIP_DEFLATED), _zip(comment=b"comment"), _zip(zip64=True))
    yield b"PK\x05\x06" + bytes(18)
    end = archive(_FILES)[-22:]
    record = b"PK\x06\x06\x2c" + bytes(7) + b"\x2d\x03\x2d" + bytes(41)
    yield archive(_FILES)[:-22] + record + b"PK\x06\x07" + bytes(12) + b"\x01\0\0\0" + end[:12] + b"\xff" * 8 + bytes(2)


def check(data: bytes) -> None:
    """List an archive, compare its layout, and write it anew from what its files hold."""
    descriptor = os.memfd_create("archive")
    try:
        os.write(descriptor, data)
        _check_open(descriptor, data)
    finally:
        os.close(descriptor)


def _check_open(descriptor: int, data: bytes) -> None:
    lists = [[(name, len(content)) for name, content in _FILES.items()]]
    with suppress(MalformedPackage):
        lists.append(list_files(descriptor))
    for files in lists:
        with suppress(MalformedPackage):
            _check_bytes(descriptor, data, files, check_layout(descriptor, files))


def _check_bytes(descriptor: int, data: bytes, files: list[tuple[str, int]], entries: dict[str, Entry]) -> None:
    contents = {name: read_at(descriptor, size, entries[name].data_offset) for name, size in files}
    parts = [part for name, content in contents.items() for part in (entries[name].local_header(), content)]
    if b"".join(parts) + closing_bytes(list(entries.values())) != data:
        raise Finding("an archive passes that is not the package of its files")
    if any(len(contents[name]) != size for name, size in files):
        raise Finding("an archive passes that is shorter than its files")


HARNESS = Harness(("signed_parameters.layout", "signed_parameters.package"), seeds, check)
