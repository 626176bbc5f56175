"""Finds the files to score: one, all of a folder, or those that a pattern names, wherever packages can be kept."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from diabetes_risk_model.data.errors import DataError
from signed_parameters.storage import FileStorage, Storage, locate, open_storage

PARQUET, CSV = ".parquet", ".csv"
_KINDS = (PARQUET, CSV)
_WILD = "*?["
_HIDDEN = ("_", ".")  # of the files in which other tools keep what is no data


@dataclass(frozen=True)
class DataFile:
    """A file to score, as it was when it was found.

    Attributes:
        folder: address of the folder.
        name: of the file in it.
        size: in bytes.
        state: differs where the file has been changed.
    """

    folder: str
    name: str
    size: int
    state: str

    @property
    def kind(self) -> str:
        """PARQUET or CSV."""
        return kind_of(self.name)

    @property
    def storage(self) -> Storage:
        """Where the file is."""
        return opened(self.folder)

    @property
    def address(self) -> str:
        """The file's address."""
        return self.storage.address(self.name)

    def check(self) -> None:
        """Raise DataError where the file is not any more what was found."""
        found = self.storage.find(self.name)
        if (found.size, found.state) != (self.size, self.state):
            raise DataError(
                f"{self.address} was changed while it was being scored: expected the {self.size:,} bytes that were "
                f"found at the start; found others. Start again, and let the file be until the end."
            )


class RangeReader(io.RawIOBase):
    """A file's bytes as a file object that can be positioned, for readers that want one."""

    def __init__(self, file: DataFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, or all that are left."""
        stop = self._file.size if size is None or size < 0 else min(self._file.size, self._position + size)
        data = self._file.storage.read_range(self._file.name, self._position, max(stop, self._position))
        self._position += len(data)
        return data


def kind_of(name: str) -> str:
    """Return PARQUET or CSV, or an empty text for what is neither."""
    return next((kind for kind in _KINDS if name.lower().endswith(kind)), "")


def find_files(address: str) -> list[DataFile]:
    """Return the files at an address, in the order of their names.

    Args:
        address: of a file, of a folder, or a pattern with `*`, `?` or `[...]` in its last parts; a path of this
            machine, or `file://`, `s3://`, `gs://` or `az://`.

    Raises:
        DataError: there are none, or files of both kinds.
        StorageError, ConfigurationError: they could not be had.
    """
    pattern = ""
    if "://" not in address:
        path = Path(address).absolute()
        pattern_wanted, address = not path.exists() and any(c in address for c in _WILD), str(path)
        is_file = path.is_file() or (kind_of(address) != "" and not path.is_dir())
    else:
        pattern_wanted, is_file = any(c in address for c in _WILD), kind_of(address) != ""
    if is_file and not pattern_wanted:
        return [_single(address)]
    folder = address.rstrip("/")
    if pattern_wanted:
        folder, pattern = _split(address)
    files = [
        _found(folder, name)
        for name in opened(folder).names()
        if kind_of(name) and not any(part.startswith(_HIDDEN) for part in name.split("/")) and _matches(name, pattern)
    ]
    if not files:
        raise DataError(f"there is nothing to score at {address}: expected files that end with {' or '.join(_KINDS)}")
    if len({file.kind for file in files}) > 1:
        raise DataError(f"{address} holds both Parquet and CSV files: expected one kind. Name a pattern, as in *.csv.")
    return files


def _single(address: str) -> DataFile:
    if not kind_of(address):
        raise DataError(f"{address} is of an unknown kind: expected a file that ends with {' or '.join(_KINDS)}")
    _, name = locate(address)
    folder = address.rpartition("/")[0]
    return _found("file:///" if folder == "file://" else folder or "/", name)


def _split(address: str) -> tuple[str, str]:
    """Divide an address before its first part that holds a wildcard."""
    parts = address.split("/")
    first = next(number for number, part in enumerate(parts) if any(c in part for c in _WILD))
    return "/".join(parts[:first]) or "/", "/".join(parts[first:])


def _matches(name: str, pattern: str) -> bool:
    if not pattern:
        return True
    names, patterns = name.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _found(folder: str, name: str) -> DataFile:
    found = opened(folder).find(name)
    return DataFile(folder, name, found.size, found.state)


@lru_cache(64)
def opened(folder: str) -> Storage:
    """Return the storage of a folder, which is opened once in each process."""
    return open_storage(folder)


def local_path(storage: Storage, name: str) -> Path | None:
    """Return the path of a file of this machine; None for what is elsewhere."""
    return Path(storage.address(name)) if isinstance(storage, FileStorage) else None
