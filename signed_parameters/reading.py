"""Gives the bytes of a file of this machine in parts, at the speed of the memory that they are in already.

Mapping a file is the fastest way to hash it, and dangerous: if somebody cuts the file short meanwhile, the next access
kills the process. So a file is mapped only while the kernel keeps writers out, by a lease (`fcntl.F_SETLEASE`): who
opens it for writing waits until the part that is in use is done. Where there is no lease, because the file is another
user's, is open for writing, or lies where other machines may write to it, its bytes are read into buffers.
"""

import fcntl
import mmap
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import cycle, islice

BUFFERS = 3
_BUFFER_BYTES = 2 << 20
_READ_AHEAD_FROM_BYTES = 16 << 20  # a thread costs more than it saves for less
_MAP_FROM_BYTES = 2 << 20  # as does a lease
_WINDOW_BYTES = 64 << 20
_MADV_POPULATE_READ = 22  # Linux 5.14; Python has no name for it


def read_parts(descriptor: int, offset: int, end: int) -> Iterator[memoryview]:
    """Yield a file's bytes in order, up to `end` or to where the file ends. Each part holds only until the next.

    Args:
        descriptor: of a regular file, open for reading.
        offset: where to begin, in bytes.
        end: where to stop, in bytes.
    """
    if end - offset >= _MAP_FROM_BYTES:
        for window in _mapped(descriptor, offset, end):
            offset += len(window)
            yield window
    yield from _buffered(descriptor, offset, end)


def _mapped(descriptor: int, offset: int, end: int) -> Iterator[memoryview]:
    """Yield windows of a file as long as there is a lease on it: all of them, some, or none."""
    with _lease(descriptor) as held:
        while held and offset < end:
            start = offset - offset % mmap.ALLOCATIONGRANULARITY
            stop = min(start + _WINDOW_BYTES, end)
            try:
                mapping = mmap.mmap(descriptor, stop - start, access=mmap.ACCESS_READ, offset=start)
            except (OSError, ValueError):  # it is shorter than that
                return
            with mapping:
                try:
                    # All pages now: one that the disk cannot give is an error here, and would be a signal later.
                    mapping.madvise(_MADV_POPULATE_READ)
                except OSError:
                    return
                os.posix_fadvise(descriptor, stop, _WINDOW_BYTES, os.POSIX_FADV_WILLNEED)
                with memoryview(mapping)[offset - start :] as window:
                    yield window
            offset = stop
            # Somebody waits to write: let them, and read what is left.
            held = fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK


@contextmanager
def _lease(descriptor: int) -> Iterator[bool]:
    """Keep writers out inside the block; False if that cannot be."""
    # File systems without a block device of their own (NFS, FUSE) may be written to past this machine's kernel.
    if not hasattr(fcntl, "F_SETLEASE") or os.major(os.fstat(descriptor).st_dev) == 0:
        yield False
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # who waits is told by a signal: one that does nothing
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _buffered(descriptor: int, offset: int, end: int) -> Iterator[memoryview]:
    """Yield a file's bytes by way of buffers; while one is in use, a thread reads on."""

    def read(buffer: memoryview, start: int) -> memoryview:
        return _fill(descriptor, buffer[: end - start], start)

    size = end - offset
    count = BUFFERS if size > _READ_AHEAD_FROM_BYTES else 1
    turns = zip(cycle(new_buffers(count, size)), range(offset, end, _BUFFER_BYTES), strict=False)
    if count == 1:
        for buffer, start in turns:
            yield read(buffer, start)
        return
    with ThreadPoolExecutor(max_workers=1) as reader:
        readings = (reader.submit(read, buffer, start) for buffer, start in turns)
        pending = deque(islice(readings, BUFFERS - 1))
        while pending:
            part = pending.popleft().result()
            pending.extend(islice(readings, 1))
            yield part
            if len(part) < _BUFFER_BYTES:
                return


def new_buffers(count: int, size: int) -> list[memoryview]:
    """Return buffers through which `size` bytes are to pass: `count` large ones, or where it is small one that fits."""
    if size < _BUFFER_BYTES:
        return [memoryview(bytearray(max(0, size)))]
    memory = mmap.mmap(-1, count * _BUFFER_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # The kernel hands out pages one by one otherwise, which takes longer than reading a small file.
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    whole = memoryview(memory)
    return [whole[start : start + _BUFFER_BYTES] for start in range(0, len(whole), _BUFFER_BYTES)]


def _fill(descriptor: int, buffer: memoryview, offset: int) -> memoryview:
    """Read from an offset until the buffer is full or the file ends, and return what was filled."""
    filled = 0
    while filled < len(buffer) and (count := os.preadv(descriptor, [buffer[filled:]], offset + filled)):
        filled += count
    return buffer[:filled]
