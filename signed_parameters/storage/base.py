"""The interface of a storage: a folder of objects, wherever it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from signed_parameters.errors import ConfigurationError, TooLarge, Unavailable
from signed_parameters.limits import Limits


@dataclass(frozen=True)
class Download:
    """An object that is being read.

    Attributes:
        size: what the storage says its size is, in bytes; None where it does not say.
        chunks: its bytes, in order. Iterating raises `Unavailable` where the storage breaks off.
    """

    size: int | None
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Found:
    """What a storage says of an object.

    Attributes:
        size: in bytes.
        state: differs where the object has been changed; what it looks like is the storage's own affair.
    """

    size: int
    state: str


class Storage(ABC):
    """A folder of objects. Every method raises the `StorageError` that fits what went wrong."""

    @abstractmethod
    def address(self, name: str) -> str:
        """Return an object's address, for messages."""

    @abstractmethod
    def stream(self, name: str) -> AbstractContextManager[Download]:
        """Open an object for reading; its bytes come in chunks, never as a whole."""

    @abstractmethod
    def write(self, name: str, source: Path, *, overwrite: bool = False) -> None:
        """Store a file under a name, whole or not at all.

        Raises:
            ConfigurationError: there is an object of that name, and `overwrite` is not set.
        """

    @abstractmethod
    def write_bytes(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store a small object under a name, whole or not at all.

        Raises:
            ConfigurationError: there is an object of that name, and `overwrite` is not set.
        """

    @abstractmethod
    def names(self, suffix: str = "") -> Iterator[str]:
        """Yield the names of all objects, in their order, those of folders below included.

        A folder that does not exist holds none, as a server knows no folders.

        Args:
            suffix: what the names have to end with.
        """

    def find(self, name: str) -> Found:
        """Return an object's size and state.

        Raises:
            ConfigurationError: this kind of storage does not tell.
        """
        raise self._cannot("does not tell the state of its objects")

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes of an object from `start` to before `stop`; fewer where it ends before.

        Raises:
            ConfigurationError: this kind of storage is not read in parts.
        """
        raise self._cannot("is not read in parts")

    def remove(self, name: str) -> None:
        """Remove an object.

        Raises:
            ConfigurationError: nothing is removed from this kind of storage.
        """
        raise self._cannot("is for reading only")

    def _cannot(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self.address('')} {problem}", expected="a folder, s3://..., gs://... or az://...")

    def open_in_place(self, name: str) -> int | None:
        """Return a descriptor of the object where it is a file of this machine, which need not be copied; else None."""
        return None

    def read(self, name: str, maximum: int) -> bytes:
        """Return a small object.

        Args:
            name: of the object.
            maximum: its largest allowed size, in bytes. No more than a chunk above that is ever held.

        Raises:
            TooLarge: it is larger.
        """
        with self.stream(name) as download:
            if download.size is not None and download.size > maximum:
                raise self.too_large(name, maximum, f"{download.size} bytes")
            data = bytearray()
            for chunk in download.chunks:
                data += chunk
                if len(data) > maximum:
                    raise self.too_large(name, maximum, "more than that")
        return bytes(data)

    def check_source(self, source: Path) -> None:
        """Raise ConfigurationError where there is no file to be stored."""
        if not source.is_file():
            raise ConfigurationError(f"{source} cannot be stored", expected="a file", remedy="Check the path.")

    def too_large(self, name: str, maximum: int, found: str) -> TooLarge:
        """Return the error for an object above its limit."""
        return TooLarge(
            f"{self.address(name)} is too large",
            expected=f"at most {maximum} bytes",
            found=found,
            remedy="It is not what its name says, or raise the policy's limits.",
        )


def took_too_long(address: str, limits: Limits) -> Unavailable:
    """Return the error for an object that drips in."""
    return Unavailable(
        f"{address} took too long to come",
        expected=f"all of it within {limits.download_seconds:g} seconds",
        remedy="Raise the policy's limits if the network is that slow.",
    )
