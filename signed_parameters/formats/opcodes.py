"""Reading a pickle's opcodes one by one, as `pickletools.genops` does, in little memory however large the pickle is.

A pickle of a model is a few opcodes with large arguments: the bytes of its arrays. They are passed over.
"""

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pickletools import ArgumentDescriptor, OpcodeInfo

LONGEST_ARGUMENT_BYTES = 1 << 16


def opcodes(file: BinaryIO) -> Iterator[tuple["OpcodeInfo", Any, int]]:
    """Yield each opcode of the pickle at the beginning of a file: what it is, its argument, and where it begins.

    An argument is None where the opcode has none, or one of more than `LONGEST_ARGUMENT_BYTES` behind its length.

    Args:
        file: open for reading, which can be sought in.

    Raises:
        ValueError: there is no such opcode, its argument is not one, or the file ends before the pickle does.
    """
    import pickletools  # its tables take memory that a service of ONNX models need not spend

    by_code = {opcode.code: opcode for opcode in pickletools.opcodes}
    widths = {
        pickletools.TAKEN_FROM_ARGUMENT4: 4,
        pickletools.TAKEN_FROM_ARGUMENT4U: 4,
        pickletools.TAKEN_FROM_ARGUMENT8U: 8,
    }
    signed = pickletools.TAKEN_FROM_ARGUMENT4
    size = file.seek(0, os.SEEK_END)
    file.seek(0)

    def argument_of(kind: "ArgumentDescriptor") -> Any:
        start, width = file.tell(), widths.get(kind.n, 0)
        length = int.from_bytes(file.read(width), "little", signed=kind.n == signed)
        if length <= LONGEST_ARGUMENT_BYTES:
            file.seek(start)
            return kind.reader(file)
        end = start + width + length
        if end > size:
            raise ValueError(f"expected {length} bytes from byte {start + width} on, found {size - start - width}")
        file.seek(end)
        return None

    code = b""
    while code != b".":
        at = file.tell()
        code = file.read(1)
        opcode = by_code.get(code.decode("latin-1"))
        if opcode is None:
            raise ValueError(f"at byte {at}, opcode {code!r} unknown" if code else "it ends before its STOP")
        yield opcode, None if opcode.arg is None else argument_of(opcode.arg), at


class FileRange(io.RawIOBase):
    """A part of an open file, as a file of its own. It leaves the descriptor's own place alone, and open.

    Args:
        descriptor: of a regular file, open for reading.
        offset: where the part begins, in bytes.
        size: of the part, in bytes.
    """

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be sought in."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what comes next, and return how many bytes it was."""
        rest = memoryview(buffer)[: max(0, self._size - self._position)]
        count = os.preadv(self._descriptor, [rest], self._offset + self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a place, and return it."""
        self._position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence] + offset
        return self._position
