"""The layout of a package: a zip in which nothing is left to choice.

Entries are stored uncompressed, in the order of their names, with fixed times and modes and nothing between, before or
behind them. So the whole archive follows from the names, sizes and checksums of its files. Verification relies on that:
it does not parse an archive, it writes down what the archive must be, and compares.

Source: PKWARE's APPNOTE 6.3.10, sections 4.3 (records) and 4.5.3 (zip64).
"""

import os
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from signed_parameters.errors import MalformedPackage

BUILD_REMEDY = "Build the package with `signed-parameters build`."
_LIMIT_16 = 0xFFFF
_LIMIT_32 = 0xFFFFFFFF
_DOS_DATE = 0x0021  # 1980-01-01, the earliest that a zip can hold
_MADE_BY = 3 << 8 | 45  # Unix, version 4.5
_MODE = 0o100644 << 16
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CHECKSUM_OFFSET = 14


@dataclass(frozen=True)
class Entry:
    """A file in an archive: its name, size in bytes, CRC-32, and where its local header begins."""

    name: str
    size: int
    checksum: int
    offset: int

    @property
    def data_offset(self) -> int:
        """Where the file's bytes begin."""
        return self.offset + len(self.local_header())

    @property
    def end(self) -> int:
        """Where the next entry begins."""
        return self.data_offset + self.size

    def local_header(self) -> bytes:
        """Return the bytes that stand before the file's own."""
        large = self.size >= _LIMIT_32
        shown = _LIMIT_32 if large else self.size
        extra = struct.pack("<2H2Q", 1, 16, self.size, self.size) if large else b""
        name = self.name.encode("ascii")
        return (
            _LOCAL_HEADER.pack(
                b"PK\x03\x04",
                45 if large else 20,
                0,
                zipfile.ZIP_STORED,
                0,
                _DOS_DATE,
                self.checksum,
                shown,
                shown,
                len(name),
                len(extra),
            )
            + name
            + extra
        )

    def directory_record(self) -> bytes:
        """Return the entry's record in the central directory."""
        large, far = self.size >= _LIMIT_32, self.offset >= _LIMIT_32
        shown = _LIMIT_32 if large else self.size
        extra = (struct.pack("<2Q", self.size, self.size) if large else b"") + (
            struct.pack("<Q", self.offset) if far else b""
        )
        if extra:
            extra = struct.pack("<2H", 1, len(extra)) + extra
        name = self.name.encode("ascii")
        return (
            struct.pack(
                "<4s6H3I5H2I",
                b"PK\x01\x02",
                _MADE_BY,
                45 if extra else 20,
                0,
                zipfile.ZIP_STORED,
                0,
                _DOS_DATE,
                self.checksum,
                shown,
                shown,
                len(name),
                len(extra),
                0,
                0,
                0,
                _MODE,
                _LIMIT_32 if far else self.offset,
            )
            + name
            + extra
        )


def closing_bytes(entries: list[Entry]) -> bytes:
    """Return everything behind the last file's bytes: the central directory and its end records."""
    directory = b"".join(entry.directory_record() for entry in entries)
    start, size, count = entries[-1].end, len(directory), len(entries)
    end = b""
    if count >= _LIMIT_16 or size >= _LIMIT_32 or start >= _LIMIT_32:
        record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, _MADE_BY, 45, 0, 0, count, count, size, start)
        end = record + struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
    shown_count, shown_size, shown_start = min(count, _LIMIT_16), min(size, _LIMIT_32), min(start, _LIMIT_32)
    end += struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, shown_count, shown_count, shown_size, shown_start, 0)
    return directory + end


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Read `size` bytes; fewer where the file ends, and in several turns where one cannot give them all."""
    parts = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_layout(descriptor: int, files: Sequence[tuple[str, int]]) -> dict[str, Entry]:
    """Check that an open archive is exactly the package of these files, and return where each is.

    The archive is compared with what it must be; nothing in it is interpreted but the CRC-32 of each file, which no
    decision rests on.

    Args:
        descriptor: of a regular file, open for reading.
        files: names and sizes (bytes), in the order of the names, at least one.

    Raises:
        MalformedPackage: the archive differs anywhere outside its files' own bytes.
    """
    entries: list[Entry] = []
    for name, size in files:
        offset = entries[-1].end if entries else 0
        checksum_bytes = os.pread(descriptor, 4, offset + _CHECKSUM_OFFSET)
        entry = Entry(name, size, int.from_bytes(checksum_bytes, "little"), offset)
        header = entry.local_header()
        if os.pread(descriptor, len(header), offset) != header:
            raise _other_header(entry)
        entries.append(entry)
    closing = closing_bytes(entries)
    start = entries[-1].end
    total = os.fstat(descriptor).st_size
    if total != start + len(closing) or os.pread(descriptor, len(closing), start) != closing:
        raise _other_directory(entries, closing, total - start)
    return {entry.name: entry for entry in entries}


class StreamedArchive:
    """An archive that comes as a stream: its files' own bytes are handed on, the rest is kept until it is compared.

    Where each file's bytes are follows from the signed names and sizes, so nothing of the stream is interpreted.

    Attributes:
        size: of the whole archive, in bytes.
    """

    def __init__(self, files: Sequence[tuple[str, int]], take: Callable[[int, memoryview], object]) -> None:
        """Expect an archive.

        Args:
            files: names and sizes (bytes), in the order of the names, at least one.
            take: is called with the number of a file and bytes of it, in order.
        """
        entries: list[Entry] = []
        for name, size in files:
            entries.append(Entry(name, size, 0, entries[-1].end if entries else 0))
        self.size = entries[-1].end + len(closing_bytes(entries))
        self._files = files
        self._take = take
        self._headers: list[bytearray] = [bytearray()]
        self._header_left = self._header_size(0)
        self._data_left = 0

    def update(self, part: memoryview) -> None:
        """Take the next bytes of the stream."""
        while part:
            number = len(self._headers) - 1
            if number == len(self._files):
                self._headers[number] += part
                return
            if self._header_left:
                count = min(self._header_left, len(part))
                self._headers[number] += part[:count]
                self._header_left -= count
                self._data_left = 0 if self._header_left else self._files[number][1]
            else:
                count = min(self._data_left, len(part))
                self._take(number, part[:count])
                self._data_left -= count
            part = part[count:]
            if not self._header_left and not self._data_left:
                self._headers.append(bytearray())
                self._header_left = self._header_size(number + 1)

    def finish(self) -> None:
        """Compare what stood between the files with what must stand there. Call it when the digest was found to hold.

        Raises:
            MalformedPackage: it differs.
        """
        entries: list[Entry] = []
        for (name, size), header in zip(self._files, self._headers, strict=False):
            checksum = int.from_bytes(header[_CHECKSUM_OFFSET : _CHECKSUM_OFFSET + 4], "little")
            entry = Entry(name, size, checksum, entries[-1].end if entries else 0)
            if header != entry.local_header():
                raise _other_header(entry)
            entries.append(entry)
        closing = closing_bytes(entries)
        if len(self._headers) != len(self._files) + 1 or self._headers[-1] != closing:
            raise _other_directory(entries, closing, len(self._headers[-1]))

    def _header_size(self, number: int) -> int:
        return len(Entry(*self._files[number], 0, 0).local_header()) if number < len(self._files) else 0


def _other_header(entry: Entry) -> MalformedPackage:
    return MalformedPackage(
        f"the archive is not the one that the statement describes at byte {entry.offset}",
        expected=f"the header of {entry.name!r}, {entry.size} bytes, stored",
        remedy=BUILD_REMEDY,
    )


def _other_directory(entries: Sequence[Entry], closing: bytes, found: int) -> MalformedPackage:
    return MalformedPackage(
        f"the archive's directory is not the one that the statement describes at byte {entries[-1].end}",
        expected=f"the directory of {len(entries)} files, {len(closing)} bytes, and the end of the file",
        found=f"{found} bytes",
        remedy=BUILD_REMEDY,
    )
