import collections
import io
import os
import pickle
import pickletools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signed_parameters.formats.opcodes import LONGEST_ARGUMENT_BYTES, FileRange, opcodes

LONG = LONGEST_ARGUMENT_BYTES + 1
OBJECTS: dict[str, Any] = {
    "nothing": None,
    "short things": [1, -5, 2**40, 2**3000, 1.5, "text", "ä", b"bytes", bytearray(b"x"), (), {1: {2}}, frozenset([3])],
    "a class": collections.OrderedDict(a=1),
    "an array": np.arange(5),
    "long bytes": b"x" * LONG,
    "long text": "ä" * LONG,
    "a long bytearray": bytearray(LONG),
    "a long number": 1 << (8 * LONG),
    "arrays": [np.zeros(LONG, np.uint8), "behind", np.ones(LONG)],
    "exactly the longest": [b"x" * LONGEST_ARGUMENT_BYTES, "x" * LONGEST_ARGUMENT_BYTES],
}


def _expected(data: bytes) -> list[tuple[str, Any, int | None]]:
    """What `pickletools` says, without the long arguments."""

    def shortened(name: str, argument: Any, following: int, at: int) -> Any:
        long = following - at - 1 > LONGEST_ARGUMENT_BYTES + 8 - (name in ("BINUNICODE", "BINBYTES", "LONG4")) * 4
        return None if long and name[-1] != "\n" and argument is not None and not _is_line(name) else argument

    found = list(pickletools.genops(data))
    ends = [at or 0 for _, _, at in found[1:]] + [len(data)]
    return [(op.name, shortened(op.name, a, end, at or 0), at) for (op, a, at), end in zip(found, ends, strict=True)]


def _is_line(name: str) -> bool:
    kind = {opcode.name: opcode for opcode in pickletools.opcodes}[name].arg
    return kind is not None and kind.n == pickletools.UP_TO_NEWLINE


@pytest.mark.parametrize(
    ("what", "protocol"),
    # The first protocols write numbers in digits, and Python writes no number of so many.
    [(what, protocol) for what in OBJECTS for protocol in range(2 if what == "a long number" else 0, 6)],
)
def test_it_reads_what_pickletools_reads(what: str, protocol: int) -> None:
    data = pickle.dumps(OBJECTS[what], protocol)
    assert [(op.name, argument, at) for op, argument, at in opcodes(io.BytesIO(data))] == _expected(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_as_by_pickletools(data: bytes) -> None:
    def read(reading: Any) -> tuple[list[tuple[str, Any, int]], bool]:
        found = []
        try:
            for op, argument, at in reading:
                found.append((op.name, repr(argument), at))
        except (ValueError, OverflowError, IndexError):
            return found, False
        return found, True

    assert read(opcodes(io.BytesIO(data))) == read(pickletools.genops(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\x8e" + (2**62).to_bytes(8, "little") + b".",
        b"\x8e" + (LONG + 1).to_bytes(8, "little") + bytes(LONG),
        b"B\xff\xff\xff\xff.",
        b"T\xff\xff\xff\xff" + bytes(100),
        b"\x8b" + (2**31 - 1).to_bytes(4, "little") + bytes(LONG),
        b"X" + (LONG).to_bytes(4, "little") + bytes(LONG),
        b"",
        b"\xff.",
    ],
    ids=["far", "one byte short", "4 GiB", "negative", "long number", "no end", "empty", "no opcode"],
)
def test_a_pickle_that_ends_before_its_end(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file, pytest.raises(ValueError, match=r"."):
        list(opcodes(file))


def test_a_large_pickle_takes_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "large.pkl").open("wb") as file:
        file.write(b"\x80\x05\x96" + (1 << 30).to_bytes(8, "little"))
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(b"\x94\x8e" + (1 << 30).to_bytes(8, "little"))
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(b"\x86.")
    size = (tmp_path / "large.pkl").stat().st_size
    tracemalloc.start()
    try:
        with (tmp_path / "large.pkl").open("rb") as file, io.BufferedReader(FileRange(file.fileno(), 0, size)) as part:
            names = [op.name for op, _, _ in opcodes(part)]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert names == ["PROTO", "BYTEARRAY8", "MEMOIZE", "BINBYTES8", "TUPLE2", "STOP"]


def test_a_part_of_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(200)))
    with (tmp_path / "file").open("rb") as file:
        with io.BufferedReader(FileRange(file.fileno(), 50, 100), 16) as part:
            assert part.read(3) == bytes([50, 51, 52])
            assert part.seek(0, os.SEEK_END) == 100
            assert part.read(1) == b""
            assert part.seek(-1, os.SEEK_CUR) == 99
            assert part.read() == bytes([149])
            assert part.seek(0) == 0
            assert part.read() == bytes(range(50, 150))
            assert part.seek(150) == 150
            assert part.read(5) == b""
        assert file.read() == bytes(range(200))
