"""Writing files whole or not at all."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

# What is written in larger pieces, Linux may keep in pages of 2 MiB. A virtual machine that gives free memory back to
# its host gives back blocks of that size, and asking for them again takes longer than writing does.
PIECE_BYTES = 128 << 10


@contextmanager
def replacement(
    target: Path, *, overwrite: bool = True, mode: int = 0o644, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """Write a file beside its place, and put it there when the block ends well; after an error nothing is left.

    Args:
        target: the file's place. Its folder must exist.
        overwrite: whether it may replace a file that is there.
        mode: the file's permissions; until it is whole, only its owner may read it.
        folder: where it is until then, on the same file system; by default its own.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not set.
        OSError: it cannot be written.
    """
    handle, temporary = tempfile.mkstemp(dir=folder or target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        if overwrite:
            os.replace(temporary, target)
        else:
            os.link(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def write_in_pieces(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write data, in pieces of PIECE_BYTES."""
    whole = memoryview(data)
    for start in range(0, len(whole), PIECE_BYTES):
        file.write(whole[start : start + PIECE_BYTES])


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Let one writer at a time compare and replace. The folder is locked, because the file itself is exchanged."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks: there the comparison is what is left
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
