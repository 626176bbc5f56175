"""Pickles: what one would import is read before it is loaded, signed, and then enforced.

A pickle is a program: its opcodes import names and call them. `scan` reads the opcodes without running them and returns
the names, which the signer records in the statement. `load` runs the program with nothing but those names at hand.
"""

import io
import pickle
from collections.abc import Collection
from types import ModuleType
from typing import Any

from signed_parameters.errors import UnsafePickle

SUFFIXES = (".pkl", ".pickle")

# What no model needs, and what runs commands or code. The signed list is the guard; this only keeps a signer from
# putting one of these on it. A module stands for everything below it.
_FORBIDDEN_MODULES = frozenset(
    "__main__ _ctypes _frozen_importlib _frozen_importlib_external _imp _pickle _posixsubprocess _thread ast "
    "asyncio bdb cProfile cloudpickle code codeop commands compileall concurrent ctypes dill distutils imp "
    "importlib inspect joblib marshal multiprocessing nt numpy.distutils numpy.f2py numpy.lib.npyio "
    "numpy.testing os pandas.io pathlib pdb pickle pip pkgutil platform posix profile pty pydoc runpy setuptools "
    "shutil signal socket sqlite3 subprocess sys tempfile test threading timeit torch.hub torch.serialization "
    "trace types unittest urllib webbrowser zipimport".split()
)
_FORBIDDEN_NAMES = frozenset(
    "_io:FileIO _io:open _io:open_code _operator:attrgetter _operator:call _operator:methodcaller "
    "builtins:__import__ builtins:breakpoint builtins:compile builtins:delattr builtins:eval builtins:exec "
    "builtins:getattr builtins:globals builtins:input builtins:locals builtins:open builtins:setattr "
    "builtins:vars codecs:open copyreg:add_extension io:FileIO io:open io:open_code numpy:fromfile numpy:load "
    "operator:attrgetter operator:call operator:methodcaller pandas:eval pandas:read_pickle "
    "torch.storage:_load_from_bytes torch:load".split()
)
_PYTHON_2_MODULES = frozenset({"__builtin__", "copy_reg"})
_FORBIDDEN_OPCODES = frozenset({"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"})
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_FETCHES = frozenset({"GET", "BINGET", "LONG_BINGET"})
_TRANSPARENT = frozenset({"PROTO", "FRAME"})


def scan(data: bytes, what: str = "the pickle") -> tuple[str, ...]:
    """Return the globals that a pickle names, as sorted `module:name`, by reading its opcodes; nothing is run.

    Args:
        data: the whole pickle.
        what: its name, for messages.

    Raises:
        UnsafePickle: it is no plain pickle (a joblib file with arrays is none), or uses opcodes or names that are never
            allowed: the extension registry, persistent ids, dotted names, names made at run time.
    """
    import pickletools  # its tables take memory that a service of ONNX models need not spend

    found: set[str] = set()
    memo: dict[int, str | None] = {}
    strings: list[str | None] = []
    position = 0
    try:
        for opcode, argument, at in pickletools.genops(data):
            position = at or 0
            name = opcode.name
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
                if int(argument) > len(data):  # the unpickler makes room for as many objects as the number says
                    raise UnsafePickle(f"{what} numbers its objects in leaps at byte {position}", found=str(argument))
                memo[int(argument)] = strings[-1] if strings else None
            elif name in _FETCHES and argument is not None:
                strings.append(memo.get(int(argument)))
            elif name in ("GLOBAL", "INST"):
                found.add(_checked(*str(argument).split(" ", 1), what=what))
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
    if position + 1 != len(data):
        raise UnsafePickle(f"{what} goes on behind its end", found=f"{len(data) - position - 1} more bytes")
    return tuple(sorted(found))


def check_allowed(name: str, what: str) -> None:
    """Check that a global, as `module:name`, could be allowed at all.

    Raises:
        UnsafePickle: it is a dotted name, or one that runs commands or code.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute or "." in attribute:
        raise UnsafePickle(
            f"{what} asks for {name!r}",
            expected="a name directly in a module",
            remedy="Dotted names are never allowed.",
        )
    if module in _PYTHON_2_MODULES:
        raise UnsafePickle(
            f"{what} asks for {name}, a name of Python 2", remedy="Dump the model again with protocol 4 or later."
        )
    if _is_forbidden(module, attribute):
        raise UnsafePickle(
            f"{what} asks for {name}",
            expected="nothing that runs commands or code",
            remedy="No model needs this: find out who made the file.",
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
        _require(name, allowed, what)
    try:
        return _Unpickler(data, frozenset(allowed), what).load()
    except UnsafePickle:
        raise
    except Exception as error:
        raise UnsafePickle(
            f"{what} cannot be loaded here",
            found=f"{type(error).__name__}: {error}",
            remedy="Install the versions of the libraries that the statement's runtime names.",
        ) from error


class _Unpickler(pickle.Unpickler):
    """Finds the allowed globals, by exact module and name, and nothing else."""

    def __init__(self, data: bytes, allowed: frozenset[str], what: str) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)
        self._allowed = allowed
        self._what = what

    def find_class(self, module: str, name: str, /) -> Any:
        wanted = _checked(module, name, what=self._what)
        _require(wanted, self._allowed, self._what)
        found = super().find_class(module, name)
        origin = str(getattr(found, "__module__", "")), str(getattr(found, "__name__", ""))
        if isinstance(found, ModuleType) or _is_forbidden(*origin):
            raise UnsafePickle(
                f"{self._what} asks for {wanted}, which is {':'.join(origin).strip(':')} under another name",
                expected="nothing that runs commands or code",
                remedy="No model needs this: find out who made the file.",
            )
        return found


def _is_forbidden(module: str, attribute: str) -> bool:
    parts = module.split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return bool(above & _FORBIDDEN_MODULES) or f"{module}:{attribute}" in _FORBIDDEN_NAMES


def _checked(module: str, attribute: str, *, what: str) -> str:
    name = f"{module}:{attribute}"
    check_allowed(name, what)
    return name


def _require(name: str, allowed: Collection[str], what: str) -> None:
    if name not in allowed:
        raise UnsafePickle(
            f"{what} asks for {name}, which is not on its signed list",
            expected=f"one of {len(allowed)} signed globals",
            remedy="Sign the package again with sign_package, which reads the list from the pickle.",
        )
