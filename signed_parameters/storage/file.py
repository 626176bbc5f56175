"""Storage in a folder of this machine, or of a volume mounted on it."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from signed_parameters.errors import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable
from signed_parameters.files import replacement, write_in_pieces
from signed_parameters.limits import CHUNK_BYTES
from signed_parameters.storage.base import Download, Found, Storage


class FileStorage(Storage):
    """A folder of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def address(self, name: str) -> str:
        """Return the file's path."""
        return str(self._folder / name)

    def open_in_place(self, name: str) -> int:
        """Return a descriptor of the file, open for reading. Only regular files are opened: a pipe would never end."""
        with self._errors(name):
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
        raise StorageError(f"{self.address(name)} cannot be read", expected="a regular file")

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        """Open the file for reading."""
        with os.fdopen(self.open_in_place(name), "rb") as file:
            yield Download(os.fstat(file.fileno()).st_size, self._chunks(name, file))

    def _chunks(self, name: str, file: BinaryIO) -> Iterator[bytes]:
        with self._errors(name):
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def find(self, name: str) -> Found:
        """Return the file's size and state."""
        with self._opened(name) as descriptor:
            found = os.fstat(descriptor)
        return Found(found.st_size, f"{found.st_ino}.{found.st_mtime_ns}")

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return a part of the file."""
        data = bytearray()
        with self._opened(name) as descriptor, self._errors(name):
            while chunk := os.pread(descriptor, min(stop - start - len(data), CHUNK_BYTES), start + len(data)):
                data += chunk
        return bytes(data)

    def remove(self, name: str) -> None:
        """Remove the file."""
        with self._errors(name):
            os.unlink(self._folder / name)

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        descriptor = self.open_in_place(name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def write(self, name: str, source: Path, *, overwrite: bool = False) -> None:
        """Copy a file into the folder, by way of a temporary one beside it."""
        self.check_source(source)
        with self._replacement(name, overwrite) as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy, CHUNK_BYTES)

    def write_bytes(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        """Write a file, by way of a temporary one beside it."""
        with self._replacement(name, overwrite) as file:
            write_in_pieces(file, data)

    @contextmanager
    def _replacement(self, name: str, overwrite: bool) -> Iterator[BinaryIO]:
        target = self._folder / name
        with self._errors(name):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with replacement(target, overwrite=overwrite) as file:
                    yield file
            except FileExistsError:
                raise already_there(self.address(name)) from None

    def names(self, suffix: str = "") -> Iterator[str]:
        """Yield names of regular files. Links and what begins with a dot, as half-written files do, are left out."""
        pending = [""]
        while pending:
            name = pending.pop()
            if name and not name.endswith("/"):
                if name.endswith(suffix):
                    yield name
            else:
                pending += sorted(self._names_in(name), reverse=True)

    def _names_in(self, folder: str) -> list[str]:
        """Return what is in a folder, the names of folders with a slash, so that they sort as whole names do."""
        found = []
        try:
            with self._errors(folder), os.scandir(self._folder / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        found.append(f"{folder}{entry.name}/")
                    elif entry.is_file(follow_symlinks=False):
                        found.append(folder + entry.name)
        except NotFound:  # gone since it was listed, or never there
            return []
        return found

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{self.address(name)} does not exist", remedy="Check the path.") from None
        except PermissionError:
            raise AccessDenied(
                f"{self.address(name)} is not accessible", remedy="Check the file's owner and mode."
            ) from None
        except OSError as error:
            raise Unavailable(f"{self.address(name)} cannot be read or written", found=str(error.strerror)) from None
        except ValueError as error:
            raise ConfigurationError(f"{self.address(name)} is no path", found=str(error)) from None


def already_there(address: str) -> ConfigurationError:
    """Return the error for an object that would be overwritten."""
    return ConfigurationError(
        f"{address} exists already",
        expected="a new name for new parameters, as a running service may be reading this one",
        remedy="Choose a new parameters version, or overwrite on purpose.",
    )
