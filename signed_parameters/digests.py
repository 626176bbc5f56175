"""Digests: BLAKE3 by default, SHA-256 on request. The algorithm's name always goes with the digest."""

import hashlib
import hmac
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from blake3 import blake3

_HEX_DIGITS = 64
_BUFFER_BYTES = 4 << 20


class DigestAlgorithm(StrEnum):
    """A digest algorithm, by the name that statements use. Both give 32 bytes."""

    BLAKE3 = "blake3"
    SHA256 = "sha256"


class Hasher(Protocol):
    """What hashes a stream."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far, in hexadecimal."""


@dataclass(frozen=True)
class Digest:
    """A digest and its algorithm; its text form is `ALGORITHM:HEXADECIMAL`."""

    algorithm: DigestAlgorithm
    value: str

    def __post_init__(self) -> None:
        if len(self.value) != _HEX_DIGITS or set(self.value) - set("0123456789abcdef"):
            raise ValueError(f"a {self.algorithm} digest is {_HEX_DIGITS} lower-case hexadecimal digits")

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read the text form. Raises ValueError where it is none."""
        algorithm, _, value = text.partition(":")
        return cls(DigestAlgorithm(algorithm), value)

    def equals(self, other: "Digest") -> bool:
        """Compare in constant time."""
        return self.algorithm is other.algorithm and hmac.compare_digest(self.value, other.value)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


def new_hasher(algorithm: DigestAlgorithm) -> Hasher:
    """Return a hasher; BLAKE3 uses every core for large updates."""
    if algorithm == DigestAlgorithm.BLAKE3:
        return blake3(max_threads=blake3.AUTO)
    return hashlib.sha256()


def digest_bytes(data: bytes, algorithm: DigestAlgorithm) -> Digest:
    """Return the digest of bytes."""
    hasher = new_hasher(algorithm)
    hasher.update(data)
    return Digest(algorithm, hasher.hexdigest())


def digest_file(descriptor: int, algorithm: DigestAlgorithm, offset: int = 0, size: int | None = None) -> Digest:
    """Return the digest of an open file, or of the `size` bytes from `offset`, in bounded memory.

    Args:
        descriptor: of a regular file, open for reading.
        algorithm: which digest.
        offset: where to begin, in bytes.
        size: how many bytes; None for all that follow.
    """
    end = os.fstat(descriptor).st_size if size is None else offset + size
    hasher = new_hasher(algorithm)
    for part in _parts(descriptor, offset, end):
        hasher.update(part)
    return Digest(algorithm, hasher.hexdigest())


def _parts(descriptor: int, offset: int, end: int) -> Iterator[memoryview]:
    """Yield a file's bytes in order, each part only until the next; while one is in use, a thread reads the next.

    They are read, not mapped: a mapped file that somebody cuts short meanwhile would kill the process.
    """
    size = max(0, min(_BUFFER_BYTES, end - offset))
    now, following = memoryview(bytearray(size)), memoryview(bytearray(size))

    def read(buffer: memoryview, start: int) -> int:
        return os.preadv(descriptor, [buffer[: end - start]], start)

    with ThreadPoolExecutor(max_workers=1) as reader:
        count = read(now, offset)
        while count:
            offset += count
            if offset >= end:
                yield now[:count]
                return
            reading = reader.submit(read, following, offset)
            yield now[:count]
            count = reading.result()
            now, following = following, now
