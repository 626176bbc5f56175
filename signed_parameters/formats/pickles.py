"""Pickles: what one would import is read before it is loaded, signed, and then enforced.

A pickle is a program: its opcodes import names and call them. `scan` reads the opcodes without running them and returns
the names, which the signer records in the statement. `load` runs the program with nothing but those names at hand.
"""

import io
import os
from collections.abc import Collection
from typing import Any, BinaryIO

from signed_parameters.errors import UnsafePickle
from signed_parameters.formats.opcodes import opcodes
from signed_parameters.formats.pickle_globals import check_allowed
from signed_parameters.formats.unpickling import RestrictedUnpickler, require

SUFFIXES = (".pkl", ".pickle")

_FORBIDDEN_OPCODES = frozenset({"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "INST", "OBJ"})
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_FETCHES = frozenset({"GET", "BINGET", "LONG_BINGET"})
_TRANSPARENT = frozenset({"PROTO", "FRAME"})
_FRAME_HEADER_BYTES = 9


def scan(pickle: bytes | BinaryIO, what: str = "the pickle") -> tuple[str, ...]:
    """Return the globals that a pickle names, as sorted `module:name`, by reading its opcodes; nothing is run.

    Args:
        pickle: the whole pickle, or a file of it, which is read in little memory.
        what: its name, for messages.

    Raises:
        UnsafePickle: it is no plain pickle (a joblib file with arrays is none), or uses opcodes or names that are never
            allowed: the extension registry, persistent ids, dotted names, names made at run time; or the unpickler
            would read it otherwise: frames that cut an opcode, escapes in names.
    """
    file = io.BytesIO(pickle) if isinstance(pickle, bytes) else pickle
    size = file.seek(0, os.SEEK_END)
    found: set[str] = set()
    memo: dict[int, str | None] = {}
    strings: list[str | None] = []
    position = frame_end = 0
    try:
        for opcode, argument, at in opcodes(file):
            position = at
            name = opcode.name
            if frame_end and (position > frame_end or (position < frame_end and name == "FRAME")):
                raise _cut_by_frame(what, frame_end)
            if name == "FRAME":
                frame_end = position + _FRAME_HEADER_BYTES + int(argument or 0)
            elif position == frame_end:
                frame_end = 0
            if name in _FORBIDDEN_OPCODES:
                raise UnsafePickle(
                    f"{what} uses the opcode {name} at byte {position}",
                    remedy="It reaches objects by number, past every list of names: dump the model again without it.",
                )
            if name in _STRINGS:
                strings.append(argument)
            elif name == "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else None
            elif name in _STORES and argument is not None:
                if int(argument) > size:  # the unpickler makes room for as many objects as the number says
                    raise UnsafePickle(f"{what} numbers its objects in leaps at byte {position}", found=str(argument))
                memo[int(argument)] = strings[-1] if strings else None
            elif name in _FETCHES and argument is not None:
                strings.append(memo.get(int(argument)))
            elif name in ("GLOBAL", "INST"):
                module_name, _, attribute_name = str(argument).partition(" ")
                spelled = f"{module_name}\n{attribute_name}\n".encode()
                file.seek(position + 1)
                if file.read(len(spelled)) != spelled:
                    raise UnsafePickle(
                        f"{what} spells a name in another way than its own at byte {position}",
                        expected="a name without escapes or spaces",
                        remedy="Dump the model again with Python's own pickle module.",
                    )
                found.add(_checked(module_name, attribute_name, what=what))
                strings = [None]
            elif name == "STACK_GLOBAL":
                module, attribute = strings[-2:] if len(strings) >= 2 else (None, None)
                if module is None or attribute is None:
                    raise UnsafePickle(
                        f"{what} makes up a name at run time at byte {position}",
                        remedy="Dump the model again with Python's own pickle module.",
                    )
                found.add(_checked(module, attribute, what=what))
                strings = [None]
            elif name not in _TRANSPARENT:
                strings = [None]
    except (ValueError, IndexError, OverflowError, DeprecationWarning) as error:
        raise UnsafePickle(
            f"{what} is not a plain pickle",
            found=str(error) or type(error).__name__,
            remedy="Write it with pickle.dump: joblib's files are a format of their own.",
        ) from None
    if frame_end > position + 1:
        raise _cut_by_frame(what, frame_end)
    if position + 1 != size:
        raise UnsafePickle(f"{what} goes on behind its end", found=f"{size - position - 1} more bytes")
    return tuple(sorted(found))


def _cut_by_frame(what: str, frame_end: int) -> UnsafePickle:
    """Return the error for what the unpickler, which reads a frame ahead, would read otherwise than `pickletools`."""
    return UnsafePickle(
        f"{what} has a frame that ends within an opcode, within a frame, or behind the end, at byte {frame_end}",
        expected="whole opcodes in each frame",
        remedy="Dump the model again with Python's own pickle module.",
    )


def load(data: bytes, allowed: Collection[str], what: str = "the pickle") -> Any:
    """Load a pickle with nothing at hand but the allowed globals.

    Args:
        data: the whole pickle, verified.
        allowed: the signed list, as `module:name`.
        what: its name, for messages.

    Raises:
        UnsafePickle: it names a global that is not on the list, or could never be allowed; or it cannot be loaded with
            the libraries that are installed.
    """
    for name in allowed:
        check_allowed(name, what)
    for name in scan(data, what):
        require(name, allowed, what)
    try:
        return RestrictedUnpickler(data, allowed, what).load()
    except UnsafePickle:
        raise
    except Exception as error:
        raise UnsafePickle(
            f"{what} cannot be loaded here",
            found=f"{type(error).__name__}: {error}",
            remedy="Install the versions of the libraries that the statement's runtime names.",
        ) from error


def _checked(module: str, attribute: str, *, what: str) -> str:
    name = f"{module}:{attribute}"
    check_allowed(name, what)
    return name
