"""Pickles that ask for harmless names only, all of them signed, and do with those what a model never needs."""

import collections
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.utils.validation import check_array

import signed_parameters as sp
from signed_parameters.formats import pickles
from tests.fuzz.pickle_programs import text

_CALL = b"\x85R"  # with the one argument that is on top of the stack
_V4 = b"\x80\x04"


def _find(module: str, name: str) -> bytes:
    """Push a global, as protocols from 4 do."""
    return text(module) + text(name) + b"\x93"


_OWNED = b"}" + text("owned") + b"\x88s"


CHANGES = {
    "an attribute of a class": (_find("collections", "UserDict") + b"N" + _OWNED + b"\x86b.", collections.UserDict),
    "an item of a library's table": (_find("numpy", "sctypeDict") + text("owned") + b"\x88s.", np.sctypeDict),
    "items of a library's table": (_find("numpy", "sctypeDict") + b"(" + text("owned") + b"\x88u.", np.sctypeDict),
    "an attribute of a function": (
        _find("sklearn.utils.validation", "check_array") + b"N" + _OWNED + b"\x86b.",
        check_array,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_pickle_did_not_make_it_does_not_change(name: str, workshop: Any) -> None:
    """All names are harmless ones, and on the signed list."""
    program, victim = CHANGES[name]
    pickle.loads(_V4 + program)
    if isinstance(victim, dict):
        assert victim.pop("owned")
    else:
        assert victim.owned
        del victim.owned
    data = _V4 + program
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": pickles.scan(data)})
    with workshop.verify() as package, pytest.raises(sp.UnsafePickle, match="expected changes of objects that it made"):
        package.load_pickle("model.pkl")
    assert not hasattr(victim, "owned")
    assert "owned" not in (victim if isinstance(victim, dict) else ())


def test_a_public_function_of_a_library_is_not_called(workshop: Any) -> None:
    """It may be held, as a model that applies it does; what restores objects has other names."""
    before = np.geterr()
    data = _V4 + _find("numpy", "seterr") + text("ignore") + _CALL + b"."
    pickle.loads(data)
    assert np.geterr() != before
    np.seterr(**before)
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": ("numpy:seterr",)})
    with workshop.verify() as package, pytest.raises(sp.UnsafePickle, match="calls numpy:seterr"):
        package.load_pickle("model.pkl")
    assert np.geterr() == before


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (_find("operator", "itemgetter") + b"K\x00\x85R" + b"](K\x05e" + _CALL, "calls a itemgetter"),
        (_find("functools", "partial") + _find("builtins", "max") + b"\x85R" + b"](K\x05e" + _CALL, "calls a partial"),
        (_find("builtins", "type") + text("A") + b")}\x87R", "calls builtins:type, to make a class"),
        (_find("builtins", "type") + _find("builtins", "type") + text("A") + b")}\x87\x81", "makes an object of a"),
        (_find("builtins", "max") + b")\x81", "makes an object of a builtin_function_or_method"),
    ],
)
def test_what_was_put_together_on_the_way_is_not_called(program: bytes, message: str) -> None:
    data = _V4 + program + b"."
    with pytest.raises(sp.UnsafePickle, match=message):
        pickles.load(data, pickles.scan(data))
