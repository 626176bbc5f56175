"""Building a package: the files of a model in one zip, the same bytes for the same content."""

import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from signed_parameters.errors import ConfigurationError, MalformedPackage
from signed_parameters.files import replacement
from signed_parameters.layout import BUILD_REMEDY, Entry, closing_bytes
from signed_parameters.limits import CHUNK_BYTES
from signed_parameters.statement import MAXIMUM_FILES, EntryName, describe_problem

_entry_name: TypeAdapter[str] = TypeAdapter(EntryName)


def build_package(path: str | os.PathLike[str], files: Mapping[str, str | os.PathLike[str]]) -> Path:
    """Write a package, the same bytes for the same names and contents; whole, or not at all.

    Args:
        path: where to write it. A file of that name is replaced.
        files: name in the package -> path of the file that has the content.

    Returns:
        `path`.

    Raises:
        ConfigurationError: a name is not allowed, two names differ only in case, or a file cannot be read or written.
    """
    target = Path(path)
    _check_names(list(files))
    try:
        with replacement(target) as archive:
            entries: list[Entry] = []
            for name in sorted(files):
                offset = entries[-1].end if entries else 0
                with open(files[name], "rb", opener=_open_without_waiting) as content:
                    entries.append(_append(archive, name, offset, content))
            archive.write(closing_bytes(entries))
    except OSError as error:
        raise ConfigurationError(
            f"package {target} cannot be built",
            found=f"{error.strerror}: {error.filename}" if error.filename else str(error),
            remedy="Check the names of the files and the space on the disk.",
        ) from None
    return target


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


def _append(archive: BinaryIO, name: str, offset: int, content: BinaryIO) -> Entry:
    status = os.fstat(content.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "not a regular file", content.name)
    size = status.st_size
    archive.write(Entry(name, size, 0, offset).local_header())
    checksum = copied = 0
    while copied <= size and (chunk := content.read(CHUNK_BYTES)):
        checksum = zlib.crc32(chunk, checksum)
        copied += len(chunk)
        archive.write(chunk)
    if copied != size:
        raise OSError(0, f"the file changed while it was read ({size} bytes, then {copied})", name)
    entry = Entry(name, size, checksum, offset)
    archive.seek(offset)
    archive.write(entry.local_header())
    archive.seek(entry.end)
    return entry


def list_files(descriptor: int) -> list[tuple[str, int]]:
    """Return names and sizes (bytes) of an archive that is about to be signed; never call it to verify one.

    Raises:
        MalformedPackage: it is no zip, or not one that `build_package` would have written.
    """
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file, zipfile.ZipFile(file) as archive:
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
