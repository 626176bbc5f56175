"""A storage in memory, which behaves as a server does: objects come in chunks, and may break off."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signed_parameters.errors import ConfigurationError, NotFound, Unavailable
from signed_parameters.storage import Download, Storage


class MemoryStorage(Storage):
    """Objects by name.

    Attributes:
        objects: their contents.
        tells_sizes: whether downloads say beforehand how large they are.
        breaks_after: bytes after which every download breaks off; None for never.
        chunk_bytes: size of a chunk.
        served: bytes that were handed out so far, by name.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.tells_sizes = True
        self.breaks_after: int | None = None
        self.chunk_bytes = 100
        self.served: dict[str, int] = {}

    def address(self, name: str) -> str:
        return f"memory://{name}"

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        if name not in self.objects:
            raise NotFound(f"{self.address(name)} does not exist")
        yield Download(len(self.objects[name]) if self.tells_sizes else None, self._chunks(name))

    def _chunks(self, name: str) -> Iterator[bytes]:
        data = self.objects[name]
        for start in range(0, len(data), self.chunk_bytes):
            chunk = data[start : start + self.chunk_bytes]
            if self.breaks_after is not None and start + len(chunk) > self.breaks_after:
                raise Unavailable(f"{self.address(name)} broke off")
            self.served[name] = start + len(chunk)
            yield chunk

    def write(self, name: str, source: Path, *, overwrite: bool = False) -> None:
        self.write_bytes(name, source.read_bytes(), overwrite=overwrite)

    def write_bytes(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        if name in self.objects and not overwrite:
            raise ConfigurationError(f"{self.address(name)} exists already")
        self.objects[name] = data

    def names(self, suffix: str = "") -> Iterator[str]:
        yield from sorted(name for name in self.objects if name.endswith(suffix))
