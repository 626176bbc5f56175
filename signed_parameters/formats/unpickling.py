"""The unpickler: it finds what is on the signed list, calls little of it, and changes nothing that it did not make.

It is built on the interpreter's own unpickler in Python, whose steps can be checked one by one. That in C hands out the
lookup of names only. What the steps may do beyond the list of names:

* call classes, and functions that restore objects; never what was put together on the way, such as a bound method;
* set attributes and items of objects that the pickle made; never of a class, a function, or another global.
"""

import io
import pickle
from collections.abc import Callable, Collection
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, ClassVar

from signed_parameters.errors import UnsafePickle
from signed_parameters.formats.pickle_globals import check_allowed, find, may_be_called

Step = Callable[["RestrictedUnpickler"], None]

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
_STRANGE = "No library's pickles need this: find out who made the file."


class RestrictedUnpickler(pickle._Unpickler):
    """Loads one pickle. Use `pickles.load`, which reads the opcodes first.

    Args:
        data: the whole pickle.
        allowed: the globals that it may ask for, as `module:name`.
        what: its name, for messages.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    metastack: list[list[Any]]

    def __init__(self, data: bytes, allowed: Collection[str], what: str) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)
        self._allowed = frozenset(allowed)
        self._what = what
        self._globals: dict[int, tuple[str, Any]] = {}  # with the objects, so that no number is given twice

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed global.

        Raises:
            UnsafePickle: it is not on the list, or can never be allowed.
        """
        wanted = f"{module}:{name}"
        check_allowed(wanted, self._what)
        require(wanted, self._allowed, self._what)
        found = find(module, name, self._what)
        self._globals[id(found)] = wanted, found
        return found

    def get_extension(self, code: int) -> None:
        """Refuse the extension registry, which is no list that anybody signed."""
        raise UnsafePickle(f"{self._what} asks for the extension {code}", remedy=_STRANGE)

    def _check_call(self, function: Any, arguments: Any) -> None:
        name, _ = self._globals.get(id(function), ("", None))
        if not name:
            raise UnsafePickle(
                f"{self._what} calls a {type(function).__name__} that is not itself on its signed list",
                expected="calls of listed globals only",
                remedy=_STRANGE,
            )
        makes_a_class = isinstance(function, type) and issubclass(function, type) and len(arguments) != 1
        if makes_a_class or not may_be_called(name, function):
            raise UnsafePickle(
                f"{self._what} calls {name}" + (", to make a class" if makes_a_class else ""),
                expected="calls of classes, and of functions that restore objects",
                remedy=_STRANGE,
            )

    def _check_new(self, function: Any) -> None:
        if not isinstance(function, type) or issubclass(function, type):
            raise UnsafePickle(
                f"{self._what} makes an object of a {type(function).__name__}",
                expected="a class that is on its signed list",
                remedy=_STRANGE,
            )
        self._check_call(function, ())

    def _check_change(self, target: Any) -> None:
        if id(target) in self._globals or isinstance(target, _SHARED):
            name, _ = self._globals.get(id(target), (f"a {type(target).__name__}", None))
            raise UnsafePickle(
                f"{self._what} changes {name}", expected="changes of objects that it made itself", remedy=_STRANGE
            )


def require(name: str, allowed: Collection[str], what: str) -> None:
    """Check that a global is on the signed list.

    Raises:
        UnsafePickle: it is not.
    """
    if name not in allowed:
        raise UnsafePickle(
            f"{what} asks for {name}, which is not on its signed list",
            expected=f"one of {len(allowed)} signed globals",
            remedy="Sign the package again with sign_package, which reads the list from the file.",
        )


def _before(opcode: bytes, check: Step) -> None:
    """Have the unpickler make a check before a step."""
    step: Step = RestrictedUnpickler.dispatch[opcode[0]]

    def checked(unpickler: RestrictedUnpickler) -> None:
        check(unpickler)
        step(unpickler)

    RestrictedUnpickler.dispatch[opcode[0]] = checked


def _refuse(unpickler: RestrictedUnpickler) -> None:
    raise UnsafePickle(f"{unpickler._what} makes an object in the way of Python 2", remedy=_STRANGE)


_before(pickle.REDUCE, lambda self: self._check_call(self.stack[-2], self.stack[-1]))
_before(pickle.NEWOBJ, lambda self: self._check_new(self.stack[-2]))
_before(pickle.NEWOBJ_EX, lambda self: self._check_new(self.stack[-3]))
_before(pickle.BUILD, lambda self: self._check_change(self.stack[-2]))
_before(pickle.APPEND, lambda self: self._check_change(self.stack[-2]))
_before(pickle.SETITEM, lambda self: self._check_change(self.stack[-3]))
for _opcode in (pickle.APPENDS, pickle.SETITEMS, pickle.ADDITEMS):
    _before(_opcode, lambda self: self._check_change(self.metastack[-1][-1]))
for _opcode in (pickle.INST, pickle.OBJ):
    _before(_opcode, _refuse)
