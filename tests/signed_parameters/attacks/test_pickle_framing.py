"""Pickles that two readers read differently: the one that lists what they import, and the one that loads them.

When the unpickler reads a file, it reads a frame ahead. Where an argument goes on behind the end of its frame, it drops
what it has read of that argument and takes the whole from behind the frame. `pickletools` knows nothing of frames.
"""

import copyreg
import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.formats import pickles

_EXTENSION_CODE = 240


def _frame(size: int) -> bytes:
    return b"\x95" + struct.pack("<Q", size)


def _hidden(program: bytes) -> bytes:
    """Return a pickle in which `pickletools` sees one bytes object, and the unpickler the program."""
    cut = b"B" + struct.pack("<H", len(program) + 2)  # for pickletools, two of the four bytes of a size
    return b"\x80\x04" + _frame(len(cut)) + cut + bytes(4) + program + b"."


class _Recorder(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)
        self.asked: list[str] = []

    def find_class(self, module: str, name: str, /) -> Any:
        self.asked.append(f"{module}:{name}")
        return OrderedDict


_DIFFERENT = {
    "a line cut by the end of its frame": b"\x80\x04" + _frame(4) + b"cbad" + b"good\nname\n.",
    "an argument cut by the end of its frame": _hidden(b"cgood\nname\n."),
    "a frame that ends in a frame": b"\x80\x04" + _frame(11) + b"N0" + _frame(2) + b"N0cgood\nname\n.",
    "an escape in a module": b"c\\x61\nname\n.",
    "an escape in a name": b"ca\nna\\x6de\n.",
    "an escape in an instance": b"(i\\x61\nname\n.",
    "a module with a space": b"ca b\nname\n.",
}


@pytest.mark.parametrize("data", _DIFFERENT.values(), ids=_DIFFERENT.keys())
def test_what_two_readers_read_differently_is_refused(data: bytes, refused: Any) -> None:
    """The interpreter's unpickler takes each of them, and asks for something."""
    recorder = _Recorder(data)
    recorder.load()
    assert recorder.asked
    with refused(sp.UnsafePickle):
        pickles.scan(data)


@pytest.fixture
def extension() -> Iterator[bytes]:
    """The opcode for an extension that something in the process has used already, so that nothing is looked up."""
    opcode = b"\x82" + bytes([_EXTENSION_CODE])
    copyreg.add_extension("collections", "OrderedDict", _EXTENSION_CODE)
    try:
        assert pickle.loads(b"\x80\x02" + opcode + b".") is OrderedDict
        yield opcode
    finally:
        copyreg.remove_extension("collections", "OrderedDict", _EXTENSION_CODE)


def test_an_extension_hidden_behind_a_frame(extension: bytes, refused: Any) -> None:
    """It goes round `find_class`: without a look at the frames, it is loaded with an empty signed list."""
    data = _hidden(extension + b".")
    assert pickle.load(io.BytesIO(data)) is OrderedDict
    with refused(sp.UnsafePickle, match="frame"):
        pickles.load(data, [])


def test_a_leap_of_numbers_hidden_behind_a_frame(refused: Any) -> None:
    """Without a look at the frames, these few bytes take a gibibyte."""
    with refused(sp.UnsafePickle, match="frame"):
        pickles.load(_hidden(b"Nr\xff\xff\xff\x03."), [])


@pytest.mark.parametrize("size", [3, 1 << 40])
def test_a_frame_that_goes_on_behind_the_end(size: int, refused: Any) -> None:
    with refused(sp.UnsafePickle, match="frame"):
        pickles.scan(b"\x80\x04" + _frame(size) + b"N.")


_LARGE = {
    "bytes": ["small", bytes(200_000), "small"],
    "text": ["small", "x" * 200_000, "small"],
    "byte array": ["small", bytearray(200_000), "small"],
    "many objects": [str(number) for number in range(50_000)],
    "both": [OrderedDict(a=bytes(70_000)), "x" * 70_000, [OrderedDict(b=1)] * 2, list(range(50_000))],
}


class _Parts:
    """A file that is no `BytesIO`, so that picklers hand large objects to it as they are."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: Any) -> None:
        self.parts.append(bytes(part))


@pytest.mark.parametrize("pickler", [pickle.Pickler, pickle._Pickler], ids=["C", "Python"])
@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("name", _LARGE)
def test_the_frames_that_picklers_write_are_read(name: str, protocol: int, pickler: Any) -> None:
    file = _Parts()
    pickler(file, protocol).dump(_LARGE[name])
    for data in (b"".join(file.parts), pickle.dumps(_LARGE[name], protocol)):
        assert data.count(b"\x95") >= 1
        assert pickles.load(data, pickles.scan(data)) == _LARGE[name]
