"""Digests: BLAKE3 by default, SHA-256 on request. The algorithm's name always goes with the digest."""

import errno
import hashlib
import hmac
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from blake3 import blake3

from signed_parameters.reading import read_parts

_HEX_DIGITS = 64


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


def new_hasher(algorithm: DigestAlgorithm, *, one_core: bool = False) -> Hasher:
    """Return a hasher.

    Args:
        algorithm: which digest.
        one_core: whether BLAKE3 leaves the other cores alone; by default it uses all of them for large updates.
    """
    if algorithm == DigestAlgorithm.BLAKE3:
        return blake3(max_threads=1 if one_core else blake3.AUTO)
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
    for part in read_parts(descriptor, offset, end):
        hasher.update(part)
    return Digest(algorithm, hasher.hexdigest())


def digest_file_and_ranges(
    descriptor: int, algorithm: DigestAlgorithm, ranges: Sequence[tuple[int, int]]
) -> tuple[Digest, tuple[Digest, ...]]:
    """Return the digest of an open file and those of ranges of it, reading it once.

    Args:
        descriptor: of a regular file, open for reading.
        algorithm: which digest.
        ranges: offset and size of each, in bytes; in order, none beginning before the end of the one before it.

    Raises:
        OSError: the file is shorter than its ranges, or cannot be read.
    """
    whole, position = new_hasher(algorithm), 0
    found: list[Digest] = []
    hasher = new_hasher(algorithm)
    with ThreadPoolExecutor(max_workers=1) as other:
        for part in read_parts(descriptor, 0, os.fstat(descriptor).st_size):
            hashing = other.submit(whole.update, part)
            reached = position + len(part)
            for start, size in ranges[len(found) :]:
                hasher.update(part[max(0, start - position) : max(0, start + size - position)])
                if start + size > reached:
                    break
                found.append(Digest(algorithm, hasher.hexdigest()))
                hasher = new_hasher(algorithm)
            hashing.result()
            position = reached
    if len(found) < len(ranges):
        raise OSError(errno.EIO, f"it ends at byte {position}, before its last file does")
    return Digest(algorithm, whole.hexdigest()), tuple(found)
