"""Building a package: the files of a model in one zip, the same bytes for the same content."""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import PosixPath
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from signed_parameters.digests import Digest, DigestAlgorithm, new_hasher
from signed_parameters.errors import ConfigurationError, MalformedPackage
from signed_parameters.files import replacement
from signed_parameters.layout import BUILD_REMEDY, Entry, closing_bytes
from signed_parameters.statement import MAXIMUM_FILES, EntryName, SignedFile, describe_problem

# The kernel keeps what is written in pieces of this size, at multiples of it, in pages as large (on x86-64 and ext4).
# They take far less time to map than many small ones when the package is verified.
_PIECE_BYTES = 2 << 20
_MAXIMUM_DIRECTORY_BYTES = MAXIMUM_FILES * (46 + 240 + 28)  # a record's fields, its name, and its extra field
_entry_name: TypeAdapter[str] = TypeAdapter(EntryName)


class BuiltPackage(PosixPath):
    """The path of a package that was just built, which also knows what was written there.

    It is a path like any other. A path that is made from it, such as its parent, knows nothing.

    Attributes:
        digest: of the package; None where nothing is known.
        files: every file of the package, in the order of their names.
    """

    digest: Digest | None = None
    files: tuple[SignedFile, ...] = ()


def build_package(path: str | os.PathLike[str], files: Mapping[str, str | os.PathLike[str]]) -> BuiltPackage:
    """Write a package, the same bytes for the same names and contents; whole, or not at all.

    Args:
        path: where to write it. A file of that name is replaced.
        files: name in the package -> path of the file that has the content.

    Returns:
        `path`, with the digests of what was written: given to `sign_package`, it saves finding them out again.

    Raises:
        ConfigurationError: a name is not allowed, two names differ only in case, or a file cannot be read or written.
    """
    target = BuiltPackage(path)
    _check_names(list(files))
    try:
        with replacement(target) as file:
            archive = _Archive(file)
            for name in sorted(files):
                with open(files[name], "rb", opener=_open_without_waiting) as content:
                    archive.append(name, content)
            target.digest = archive.close()
            target.files = tuple(archive.files)
    except OSError as error:
        raise ConfigurationError(
            f"package {target} cannot be built",
            found=f"{error.strerror}: {error.filename}" if error.filename else str(error),
            remedy="Check the names of the files and the space on the disk.",
        ) from None
    return target


class _Archive:
    """An archive that is being written: from its beginning to its end, so that what is written is what is hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self.files: list[SignedFile] = []
        self._file = file
        self._hasher = new_hasher(DigestAlgorithm.BLAKE3)
        self._entries: list[Entry] = []

    def append(self, name: str, content: BinaryIO) -> None:
        """Add a file. It is read twice, because its checksum stands before its bytes."""
        size, checksum = _size_and_checksum(content)
        entry = Entry(name, size, checksum, self._entries[-1].end if self._entries else 0)
        self._write(entry.local_header())
        hasher, again = new_hasher(DigestAlgorithm.BLAKE3), 0
        content.seek(0)
        for chunk in _chunks(content, size, entry.data_offset):
            again = zlib.crc32(chunk, again)
            hasher.update(chunk)
            self._write(chunk)
        if again != checksum:
            raise OSError(0, "the file changed while it was read", name)
        self._entries.append(entry)
        self.files.append(SignedFile(name=name, size=size, digest=Digest(DigestAlgorithm.BLAKE3, hasher.hexdigest())))

    def close(self) -> Digest:
        """Write the end, and return the digest of everything that was written."""
        self._write(closing_bytes(self._entries))
        return Digest(DigestAlgorithm.BLAKE3, self._hasher.hexdigest())

    def _write(self, data: bytes) -> None:
        self._hasher.update(data)
        self._file.write(data)


def _check_names(names: list[str]) -> None:
    if not 0 < len(names) <= MAXIMUM_FILES:
        raise ConfigurationError(
            "a package cannot hold this", expected=f"1 to {MAXIMUM_FILES} files", found=str(len(names))
        )
    seen: dict[str, str] = {}
    for name in names:
        try:
            _entry_name.validate_python(name)
        except ValidationError as error:
            raise ConfigurationError(describe_problem(error), remedy="Choose another name in `files`.") from None
        if name.lower() in seen:
            raise ConfigurationError(
                f"{name!r} and {seen[name.lower()]!r} are the same name, upper or lower case apart",
                remedy="Choose names that no file system confuses.",
            )
        seen[name.lower()] = name


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _size_and_checksum(content: BinaryIO) -> tuple[int, int]:
    status = os.fstat(content.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "not a regular file", content.name)
    checksum = 0
    for chunk in _chunks(content, status.st_size):
        checksum = zlib.crc32(chunk, checksum)
    return status.st_size, checksum


def _chunks(content: BinaryIO, size: int, offset: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file, which must have the size that it had at first.

    Args:
        content: the file.
        size: that it had at first, in bytes.
        offset: where in the package they go: they are cut where its pieces end.
    """
    copied = 0
    while copied <= size and (chunk := content.read(_PIECE_BYTES - (offset + copied) % _PIECE_BYTES)):
        copied += len(chunk)
        yield chunk
    if copied != size:
        raise OSError(0, f"the file changed while it was read ({size} bytes, then {copied})", content.name)


class _BoundedReader(io.BufferedReader):
    """A file of which `zipfile`, which takes a directory whole, gets no more at once than a package's directory has."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAXIMUM_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is larger than any package's")
        return super().read(_MAXIMUM_DIRECTORY_BYTES if size is None or size < 0 else size)


def list_files(descriptor: int) -> list[tuple[str, int]]:
    """Return names and sizes (bytes) of an archive that is about to be signed; never call it to verify one.

    Raises:
        MalformedPackage: it is no zip, or not one that `build_package` would have written.
    """
    try:
        with _BoundedReader(io.FileIO(os.dup(descriptor))) as file, zipfile.ZipFile(file) as archive:
            listed = [(info.filename, info.file_size) for info in archive.infolist()]
            compressed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise MalformedPackage("the package is not a zip archive", found=str(error), remedy=BUILD_REMEDY) from None
    if compressed:
        raise MalformedPackage(f"{compressed[0]!r} is compressed", expected="stored entries only", remedy=BUILD_REMEDY)
    try:
        _check_names([name for name, _ in listed])
    except ConfigurationError as error:
        raise MalformedPackage(error.problem, expected=error.expected, found=error.found, remedy=BUILD_REMEDY) from None
    return sorted(listed)
