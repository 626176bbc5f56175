"""Pickle programs out of whole opcodes, and the interpreter's two unpicklers, which tell what they were asked for."""

import io
import pickle
import pickletools
import random
import struct
from typing import Any


def text(name: str) -> bytes:
    """Return the opcode that puts a short text on the stack."""
    return b"\x8c" + bytes([len(name)]) + name.encode()


def frame(size: int) -> bytes:
    """Return the opcode that announces a frame of so many bytes."""
    return b"\x95" + struct.pack("<Q", size)


_TEXTS = [
    *(text("alpha"), text("beta"), text(""), text("a.b"), text("\u00e9")),
    *(b"X\x05\x00\x00\x00gamma", b"\x8d\x05" + bytes(7) + b"delta", b"X\x03\x00\x00\x00\xed\xa0\x80"),
    *(b"Vepsilon\n", b"V\\u0061\n", b"Va\\x\n", b"Va\r\n", b"V\xe9\n"),
    *(b"U\x04zeta", b"T\x03\x00\x00\x00eta", b"S'theta'\n", b'S"a\\x62"\n', b"S''\n"),
]
_MEMO = [
    *(b"\x94", b"q\x00", b"q\x01", b"q\x05", b"r\x02\x00\x00\x00", b"p0\n", b"p1\n", b"p 1\n", b"p01\n", b"p1_0\n"),
    *(b"p+1\n", b"p-0\n", b"p00\n", b"p1\r\n", b"p1L\n", b"p\n", b"p1\x00\n", b"p\xd9\xa1\n"),
    *(b"h\x00", b"h\x01", b"h\x02", b"h\x05", b"j\x02\x00\x00\x00", b"g0\n", b"g1\n", b"g 01\n", b"g01\n", b"g1_0\n"),
    *(b"g00\n", b"g+1\n", b"g1\r\n", b"g10\n"),
]
_STACK = [b"0", b"1", b"2", b"(", b"(t", b"(l", b"(d", b"N", b")", b"]", b"}", b"\x8f", b"t", b"l", b"d", b"\x91"]
_BUILDING = [b"\x85", b"\x86", b"\x87", b"a", b"s", b"b", b"e", b"u", b"\x90", b"R", b"\x81", b"\x92", b"o"]
_GLOBALS = [
    *(b"\x93", text("alpha") + text("beta") + b"\x93", text("m") + b"\x94" + text("n") + b"\x94\x93"),
    *(b"calpha\nbeta\n", b"ibeta\nalpha\n", b"(igamma\nbeta\n", b"c\n\n", b"calpha\nbe.ta\n", b"cal pha\nbeta\n"),
    *(
        b"calpha\nbe ta\n",
        b"calpha\r\nbeta\r\n",
        b"c\\x61\nbeta\n",
        b"ca\\\nbeta\n",
        b"calpha\nb\xc3\xa9\n",
        b"ca:b\nc\n",
    ),
    *(b"ccollections\nOrderedDict\n", text("collections") + text("OrderedDict") + b"\x93"),
]
_VALUES = [
    *(b"\x88", b"\x89", b"K\x01", b"M\x01\x02", b"J\x01\x00\x00\x80", b"G" + bytes(8), b"F1.5\n", b"Fnan\n"),
    *(
        b"I01\n",
        b"I00\n",
        b"I0x10\n",
        b"I 7\n",
        b"L5L\n",
        b"L5\n",
        b"\x8a\x01\x05",
        b"\x8a\x00",
        b"\x8b\x01\x00\x00\x00\x05",
    ),
    *(
        b"\x8b\xff\xff\xff\xff",
        b"C\x02ab",
        b"B\x02\x00\x00\x00ab",
        b"\x8e\x01" + bytes(7) + b"a",
        b"\x96\x01" + bytes(7) + b"a",
    ),
]
_OTHERS = [
    b"\x80\x00",
    b"\x80\x02",
    b"\x80\x04",
    b"\x80\x05",
    b"\x80\x06",
    b".",
    b"\x97",
    b"\x98",
    b"\x82\x01",
    b"Q",
    b"P1\n",
]
_FRAMES = [frame(size) for size in (0, 1, 2, 3, 4, 5, 7, 9, 12, 20)]
PIECES = tuple(_TEXTS + _MEMO + _STACK + _BUILDING + _GLOBALS + _VALUES + _OTHERS + _FRAMES)


class _StandIn(dict[Any, Any]):
    """Stands for whatever a pickle asks for, and puts up with whatever is done to it."""

    def __new__(cls, *arguments: object, **named: object) -> "_StandIn":
        return super().__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__()

    def __call__(self, *arguments: object, **named: object) -> "_StandIn":
        return self

    __hash__ = object.__hash__  # type: ignore[assignment]

    def _ignore(self, *arguments: object) -> None:
        pass

    append = extend = add = update = __setstate__ = __setitem__ = _ignore  # type: ignore[assignment]


class _Recording:
    """An unpickler that writes down what it is asked for, and has nothing real within reach.

    Attributes:
        asked: the globals that it was asked for, as `module:name`.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)  # type: ignore[call-arg]
        self.asked: set[str] = set()
        self._stand_in = type("StandIn", (_StandIn,), {})  # a pickle may set its attributes, so each gets its own

    def find_class(self, module: str, name: str, /) -> Any:
        self.asked.add(f"{module}:{name}")
        return self._stand_in

    def runs(self) -> bool:
        """Run the program, and tell whether it came to its end."""
        try:
            self.load()  # type: ignore[attr-defined]
        except Exception:
            return False
        return True


class RecorderInC(_Recording, pickle.Unpickler):
    """The interpreter's own unpickler."""


class RecorderInPython(_Recording, pickle._Unpickler):
    """The same in Python, which differs from it where neither is documented."""


RECORDERS: tuple[type[_Recording], ...] = (RecorderInC, RecorderInPython)


def split(data: bytes) -> list[bytes]:
    """Return the opcodes of a pickle with their arguments; the last part is whatever cannot be read."""
    starts: list[int] = []
    try:
        starts.extend(at or 0 for _, _, at in pickletools.genops(data))
    except Exception:
        starts.append(starts[-1] + 1 if starts else 0)
    ends = [*starts[1:], len(data)]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def mutate(data: bytes, maximum: int, source: random.Random) -> bytes:
    """Return another program of at most `maximum` bytes: one to three opcodes put in, left out, moved, or framed."""
    parts = split(data)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(parts) + 1)
        match source.randrange(6):
            case 0 | 1:
                parts.insert(at, source.choice(PIECES))
            case 2:
                del parts[at : at + source.randint(1, 3)]
            case 3:
                parts[at:at] = parts[at : at + source.randint(1, 4)]
            case 4 if parts:
                parts.insert(at, parts.pop(source.randrange(len(parts))))
            case _:
                whole = len(b"".join(parts[at : at + source.randint(0, 4)]))
                parts.insert(at, frame(max(0, whole + source.choice((0, 0, -1, 1)))))
    return b"".join(parts)[:maximum]
