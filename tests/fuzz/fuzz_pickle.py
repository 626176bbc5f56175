"""Pickles: the scan finds exactly what either of the interpreter's unpicklers asks for, or refuses."""

import collections
import decimal
import io
import pickle
import pickletools
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

from signed_parameters.errors import UnsafePickle
from signed_parameters.formats import opcodes, pickles
from tests.fuzz.harness import Finding, Harness
from tests.fuzz.pickle_programs import PIECES, RECORDERS, frame, mutate, text

_HARMLESS = frozenset({"collections:OrderedDict", "builtins:set", "builtins:frozenset", "builtins:complex"})
_OBJECTS: tuple[object, ...] = (
    {"a": [1, 2.5, "x", b"y", (True, None)], "b": {1, 2}, "large": 1 << 100},
    [collections.OrderedDict(a=1), collections.OrderedDict(b=2), frozenset({"a"}), 1j],
    [decimal.Decimal("1.5")] * 2,
    [bytearray(b"abc"), "\u00e9\ud800", -1, 1 << 40, 1e300],
)


def seeds() -> Iterator[bytes]:
    """Yield pickles of every protocol, and each opcode in a program of its own."""
    for value in _OBJECTS:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with suppress(UnicodeEncodeError):
                data = pickle.dumps(value, protocol)
                yield data
                yield pickletools.optimize(data)
    names = text("alpha") + b"\x94" + text("beta") + b"\x94"
    for piece in PIECES:
        yield names + piece + b"\x93."
        yield b"\x80\x04" + frame(len(names + piece) + 1) + names + piece + b"."


def check(data: bytes) -> None:
    """Compare what the scan finds with what the unpicklers ask for; then load what is harmless."""
    _check_opcodes(data)
    with suppress(UnsafePickle):
        pickles.load(data, ())
    try:
        found = set(pickles.scan(data))
    except UnsafePickle:
        return
    for kind in RECORDERS:
        recorder = kind(data)
        whole = recorder.runs()
        if not recorder.asked <= found or (whole and recorder.asked != found):
            raise Finding(f"the scan finds {sorted(found)}, {kind.__name__} asks for {sorted(recorder.asked)}")
    if found and found <= _HARMLESS:
        with suppress(UnsafePickle):
            pickles.load(data, found)


def _check_opcodes(data: bytes) -> None:
    """Compare the opcodes with those that `pickletools` reads, whether arguments are read or passed over."""
    try:
        expected = [(opcode.name, at) for opcode, _, at in pickletools.genops(data)]
    except Exception:
        return
    for longest in (opcodes.LONGEST_ARGUMENT_BYTES, 1):
        with patch.object(opcodes, "LONGEST_ARGUMENT_BYTES", longest):
            found = [(opcode.name, at) for opcode, _, at in opcodes.opcodes(io.BytesIO(data))]
        if found != expected:
            raise Finding(f"opcodes {found} are read where there are {expected}")


_MODULES = ("pickles", "opcodes", "pickle_globals", "unpickling")
HARNESS = Harness(tuple(f"signed_parameters.formats.{name}" for name in _MODULES), seeds, check, mutate)
