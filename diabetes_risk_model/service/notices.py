"""Texts that the workers of a service show each other on demand, in memory that they share."""

import mmap
import struct
import zlib

_HEAD = struct.Struct("=QII")  # number of the request, length and checksum of the text
_NUMBER = struct.Struct("=Q")
_TEXT_BYTES = 2**20 - _HEAD.size


class Notices:
    """A place for a text of each worker, and the number of the newest request to show it.

    Every worker may ask; each writes only its own place. A text that is read while it is written does not fit its
    checksum, and counts as not there.
    """

    def __init__(self, workers: int) -> None:
        """Set the places up, before the workers are forked. What is not written takes no memory."""
        self._memory = mmap.mmap(-1, _NUMBER.size + workers * (_HEAD.size + _TEXT_BYTES))

    def ask(self) -> int:
        """Ask all workers to show what they have now; return the request's number, from 1."""
        number = int(_NUMBER.unpack_from(self._memory)[0]) + 1
        _NUMBER.pack_into(self._memory, 0, number)
        return number

    def asked(self, worker: int) -> int | None:
        """Return the number of a request that a worker has not answered; None if there is none."""
        number = int(_NUMBER.unpack_from(self._memory)[0])
        return number if number != self._head(worker)[0] else None

    def show(self, worker: int, number: int, text: bytes) -> None:
        """Answer a request.

        Raises:
            ValueError: the text is longer than a mebibyte.
        """
        if len(text) > _TEXT_BYTES:
            raise ValueError(f"expected a text of at most {_TEXT_BYTES} bytes, found {len(text)}")
        place = self._place(worker)
        _HEAD.pack_into(self._memory, place, number, len(text), zlib.crc32(text))
        self._memory[place + _HEAD.size : place + _HEAD.size + len(text)] = text

    def shown(self, worker: int, number: int = 1) -> bytes | None:
        """Return what a worker has shown since the request of this number; None if it has not."""
        answered, length, checksum = self._head(worker)
        start = self._place(worker) + _HEAD.size
        text = self._memory[start : start + length]
        return text if answered >= number and zlib.crc32(text) == checksum else None

    def _place(self, worker: int) -> int:
        return _NUMBER.size + worker * (_HEAD.size + _TEXT_BYTES)

    def _head(self, worker: int) -> tuple[int, int, int]:
        number, length, checksum = _HEAD.unpack_from(self._memory, self._place(worker))
        return int(number), int(length), int(checksum)
