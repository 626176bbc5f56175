"""Pickles that run code although their signature is valid.

Each exploit is first shown to work with Python's own unpickler: it makes a folder. Then it is brought to be signed, and
then it is loaded from a package that a trusted key signed, with every list of globals that could let it pass.
"""

import copyreg
import functools
import io
import operator
import os
import pickle
import pickletools
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.core import multiarray
from pydantic import TypeAdapter, ValidationError
from sklearn.utils import Bunch

import signed_parameters as sp
from signed_parameters.formats import pickles
from signed_parameters.formats.unpickling import RestrictedUnpickler
from signed_parameters.statement import Global

_global: TypeAdapter[str] = TypeAdapter(Global)


def _text(text: str) -> bytes:
    """Push a text, as protocols from 1 do."""
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _find(module: str, name: str) -> bytes:
    """Push a global, as protocols from 4 do."""
    return _text(module) + _text(name) + b"\x93"


_CALL = b"\x85R"  # with the one argument that is on top of the stack
_V4 = b"\x80\x04"


def _code(path: str) -> str:
    return f"__import__('os').mkdir({path!r})"


class _Reduced:
    """What Python itself makes of an object that says how it is to be rebuilt."""

    def __init__(self, *how: Any) -> None:
        self._how = how

    def __reduce__(self) -> Any:
        return self._how


Exploit = Callable[[str], bytes]

EXPLOITS: dict[str, Exploit] = {
    "os.system": lambda p: b"cos\nsystem\n(Vmkdir " + p.encode() + b"\ntR.",
    "posix.system": lambda p: b"\x80\x02cposix\nsystem\n" + _text(f"mkdir {p}") + _CALL + b".",
    "os.system, by Python": lambda p: pickle.dumps(_Reduced(os.system, (f"mkdir {p}",)), 4),
    "os.mkdir, by Python, optimized": lambda p: pickletools.optimize(pickle.dumps(_Reduced(os.mkdir, (p,)), 5)),
    "builtins.eval": lambda p: _V4 + _find("builtins", "eval") + _text(_code(p)) + _CALL + b".",
    "builtins.exec": lambda p: _V4 + _find("builtins", "exec") + _text(_code(p)) + _CALL + b".",
    "subprocess": lambda p: pickle.dumps(_Reduced(subprocess.check_call, (["mkdir", p],)), 4),
    "Python 2's builtins, protocol 0": lambda p: b"c__builtin__\neval\n(V" + _code(p).encode() + b"\ntR.",
    "Python 2's builtins, protocol 1": lambda p: b"c__builtin__\neval\nq\x00(" + _text(_code(p)) + b"tq\x01R.",
    "Python 2's builtins, protocol 2": lambda p: b"\x80\x02c__builtin__\neval\n" + _text(_code(p)) + _CALL + b".",
    "INST": lambda p: b"(" + _text(p) + b"ios\nmkdir\n.",
    "OBJ": lambda p: b"(cos\nmkdir\n" + _text(p) + b"o.",
    "a dotted name": lambda p: _V4 + _find("logging", "os.mkdir") + _text(p) + _CALL + b".",
    "a dotted name by GLOBAL": lambda p: _V4 + b"clogging\nos.mkdir\n" + _text(p) + _CALL + b".",
    "a dotted name to builtins": lambda p: _V4 + _find("logging", "os.mkdir.__class__") + b"0" + _dotted(p) + b".",
    "a class of the allowed, dotted": lambda p: _V4 + _find("collections", "_sys.modules") + b"0" + _dotted(p) + b".",
    "getattr": lambda p: (
        _V4
        + _find("builtins", "getattr")
        + (_find("logging", "os") + _text("mkdir") + b"\x86R")
        + (_text(p) + _CALL + b".")
    ),
    "a module as a name of another": lambda p: (
        _V4
        + _find("operator", "methodcaller")
        + (_text("mkdir") + _text(p) + b"\x86R")
        + (_find("logging", "os") + _CALL + b".")
    ),
    "open": lambda p: _V4 + _find("io", "open") + _text(f"{p}") + _text("w") + b"\x86R.",
    "open under another name": lambda p: (
        _V4 + _find("fontTools.voltLib.parser", "open") + _text(p) + _text("w") + b"\x86R."
    ),
    "a name from a call": lambda p: (
        _V4 + (_find("builtins", "str") + _text("os") + _CALL) + (_text("mkdir") + b"\x93" + _text(p) + _CALL + b".")
    ),
    "a name from a call, module known": lambda p: (
        _V4 + (_text("os") + _find("builtins", "str") + _text("mkdir") + _CALL) + (b"\x93" + _text(p) + _CALL + b".")
    ),
    "a name from NEWOBJ": lambda p: (
        _V4
        + (_find("builtins", "str") + _text("os") + b"\x85\x81")
        + (_text("mkdir") + b"\x93" + _text(p) + _CALL + b".")
    ),
    "names of Python 2's text": lambda p: _V4 + b"U\x02osU\x05mkdir\x93" + _text(p) + _CALL + b".",
    "names of Python 2's long text": lambda p: _V4 + (b"T\x02\x00\x00\x00osS'mkdir'\n\x93" + _text(p) + _CALL + b"."),
    "names in UNICODE escapes": lambda p: _V4 + b"V\\u006fs\nV\\u006dkdir\n\x93" + _text(p) + _CALL + b".",
    "a function that looks up names": lambda p: (
        _V4 + (_find("logging.config", "_resolve") + _text("os.mkdir") + _CALL) + (_text(p) + _CALL + b".")
    ),
    "a call by map": lambda p: (
        (_V4 + _find("builtins", "list") + _find("builtins", "map"))
        + (_find("logging.config", "_resolve") + _text("os.mkdir") + _CALL)
        + (b"]" + _text(p) + b"a\x86R" + _CALL + b".")
    ),
    "a call by reduce": lambda p: (
        (_V4 + _find("functools", "reduce") + _find("logging.config", "_resolve") + _text("os.mkdir") + _CALL)
        + (b"](" + _text(p) + b"M\xff\x01e\x86R.")
    ),
    "a handler of a log": lambda p: _V4 + _find("logging", "FileHandler") + _text(p) + _CALL + b".",
    "an archive": lambda p: _V4 + _find("zipfile", "ZipFile") + _text(p) + _text("w") + b"\x86R.",
    "a function of numpy": lambda p: _V4 + _find("numpy", "savetxt") + _text(p) + b"]K\x01a\x86R.",
    "a class of numpy": lambda p: (
        _V4 + _find("numpy", "memmap") + b"(" + _text(p) + _text("u1") + _text("w+") + b"K\x00K\x01t\x81."
    ),
    "numpy's tests": lambda p: _V4 + _find("numpy.testing._private.utils", "runstring") + _text(_code(p)) + b"}\x86R.",
    "names behind decoys": lambda p: (
        _V4 + (_text("os") + _text("mkdir") + _text("builtins") + _text("str") + b"00\x93") + (_text(p) + _CALL + b".")
    ),
    "names behind decoys in a mark": lambda p: (
        _V4
        + (_text("os") + _text("mkdir") + b"(" + _text("builtins") + _text("str") + b"1\x93")
        + (_text(p) + _CALL + b".")
    ),
    "a name by DUP": lambda p: _V4 + _text("os") + b"20" + _text("mkdir") + b"\x93" + _text(p) + _CALL + b".",
    "a memo that is overwritten": lambda p: (
        _V4
        + (_text("builtins") + b"\x940" + _text("os") + b"q\x000h\x00" + _text("mkdir") + b"\x93")
        + (_text(p) + _CALL + b".")
    ),
    "a memo by MEMOIZE behind PUT": lambda p: (
        _V4
        + (_text("builtins") + b"q\x050" + _text("os") + b"\x940" + _text("str") + b"0" + b"h\x01")
        + (_text("mkdir") + b"\x93" + _text(p) + _CALL + b".")
    ),
    "a memo in text and binary": lambda p: (
        _V4
        + (_text("os") + b"p7\n0" + _text("mkdir") + b"r\x08\x00\x00\x000" + b"h\x07g8\n\x93")
        + (_text(p) + _CALL + b".")
    ),
    "a memo of what a decoy hides": lambda p: (
        _V4
        + (_text("os") + _text("builtins") + b"0\x940" + _text("mkdir") + b"\x940h\x00h\x01\x93")
        + (_text(p) + _CALL + b".")
    ),
    "a memo of a tuple's end": lambda p: (
        _V4
        + (_text("os") + b"\x94\x85\x940" + _text("builtins") + b"0h\x00" + _text("mkdir") + b"\x93")
        + (_text(p) + _CALL + b".")
    ),
    "a frame": lambda p: (
        _V4 + b"\x95" + struct.pack("<Q", len(p) + 26) + _find("os", "mkdir") + _text(p) + _CALL + b"."
    ),
    "bytes behind the end": lambda p: _V4 + _find("os", "mkdir") + _text(p) + _CALL + b"." + b"and more",
}


def _dotted(path: str) -> bytes:
    return _find("logging", "os.mkdir") + _text(path) + _CALL


def _run(data: bytes) -> tuple[str, ...]:
    """Load with the interpreter's own unpickler; return what it asked for, which is what an attacker would sign."""
    asked: list[str] = []

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            asked.append(f"{module}:{name}")
            return super().find_class(module, name)

    loaded = Recorder(io.BytesIO(data)).load()
    if hasattr(loaded, "close"):
        loaded.close()
    return tuple(asked)


def _signable(name: str) -> bool:
    try:
        _global.validate_python(name)
    except ValidationError:
        return False
    return True


def _remove(target: Path) -> None:
    if target.is_dir():
        target.rmdir()
    else:
        target.unlink()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """What an exploit makes to show that it ran."""
    return tmp_path / "owned"


# A harmless name of a harmful thing: that shows when the name is looked up; still before anything is called.
_LOOKED_UP = "open under another name"


@pytest.mark.parametrize("name", EXPLOITS)
def test_an_exploit(name: str, target: Path, workshop: Any, refused: Any, make_package: Any) -> None:
    data = EXPLOITS[name](str(target))
    asked = _run(data)
    assert target.exists(), "the exploit works with Python's own unpickler"
    _remove(target)

    if name != _LOOKED_UP:
        with refused(sp.UnsafePickle):
            make_package({"model.pkl": data})

    its_own = tuple(filter(_signable, asked))
    for allowed in ((), ("collections:OrderedDict", "builtins:str"), its_own):
        workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": allowed})
        with workshop.verify() as package:
            if name == _LOOKED_UP and allowed == its_own:
                with pytest.raises(sp.UnsafePickle, match="under another name"):
                    package.load_pickle("model.pkl")
            else:
                with refused(sp.UnsafePickle):
                    package.load_pickle("model.pkl")
    with pytest.raises(sp.UnsafePickle):
        pickles.load(data, asked)
    assert not target.exists()


@pytest.fixture(params=[(0xF0, b"\x82\xf0"), (0xF123, b"\x83\x23\xf1"), (0x71234567, b"\x84\x67\x45\x23\x71")])
def extension(request: pytest.FixtureRequest) -> Iterator[bytes]:
    """An opcode that stands for os.mkdir, as some library could have registered it."""
    code, opcode = request.param
    copyreg.add_extension("os", "mkdir", code)
    yield opcode
    copyreg.remove_extension("os", "mkdir", code)


@pytest.mark.parametrize("allowed", [(), ("collections:OrderedDict",), ("os:mkdir",)])
def test_an_extension_opcode(
    extension: bytes, target: Path, workshop: Any, refused: Any, make_package: Any, allowed: tuple[str, ...]
) -> None:
    data = b"\x80\x02" + extension + _text(str(target)) + _CALL + b"."
    pickle.loads(data)  # and from now on the interpreter remembers it, and asks no `find_class` any more
    assert target.exists()
    target.rmdir()

    class Careful(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            raise AssertionError("it is asked")

    Careful(io.BytesIO(data)).load()
    assert target.exists(), "an unpickler that overrides find_class alone is passed by"
    target.rmdir()

    with refused(sp.UnsafePickle, match="EXT"):
        make_package({"model.pkl": data})
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": allowed})
    with workshop.verify() as package, refused(sp.UnsafePickle):
        package.load_pickle("model.pkl")
    assert not target.exists()


@pytest.mark.parametrize("data", [b"P%s\n.", b"\x80\x02X%s\x51."], ids=["PERSID", "BINPERSID"])
def test_a_persistent_id(data: bytes, target: Path, workshop: Any, refused: Any, make_package: Any) -> None:
    path = str(target).encode()
    argument = path if data.startswith(b"P") else struct.pack("<I", len(path)) + path
    data = data.replace(b"%s", argument)

    class Loader(pickle.Unpickler):
        def persistent_load(self, pid: str) -> None:
            os.mkdir(pid)

    Loader(io.BytesIO(data)).load()
    assert target.exists()
    target.rmdir()
    with refused(sp.UnsafePickle, match="PERSID"):
        make_package({"model.pkl": data})
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": ()})
    with workshop.verify() as package, refused(sp.UnsafePickle, match="PERSID"):
        package.load_pickle("model.pkl")


@pytest.mark.parametrize("compress", [0, 3])
def test_a_joblib_file(tmp_path: Path, workshop: Any, refused: Any, make_package: Any, compress: int) -> None:
    joblib.dump({"w": np.arange(1000.0)}, tmp_path / "model.joblib", compress=compress)
    data = (tmp_path / "model.joblib").read_bytes()
    assert joblib.load(tmp_path / "model.joblib")["w"][7] == 7.0
    with refused(sp.UnsafePickle, match="model.pkl"):
        make_package({"model.pkl": data})
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": ()})
    with workshop.verify() as package, refused(sp.UnsafePickle):
        package.load_pickle("model.pkl")


def test_an_exploit_in_an_object_array(target: Path, workshop: Any, refused: Any, make_package: Any) -> None:
    """Every name but one is what any array needs."""
    array = np.empty(1, dtype=object)
    array[0] = _Reduced(os.mkdir, (str(target),))
    data = pickle.dumps(array, 4)
    pickle.loads(data)
    assert target.exists()
    target.rmdir()
    with refused(sp.UnsafePickle, match="asks for posix:mkdir"):
        make_package({"model.pkl": data})
    allowed = pickles.scan(pickle.dumps(np.arange(3), 4))
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": allowed})
    with workshop.verify() as package, refused(sp.UnsafePickle):
        package.load_pickle("model.pkl")
    assert not target.exists()


def test_a_module_as_an_object(workshop: Any) -> None:
    """BUILD sets attributes of whatever is on the stack: of a module it would change what everybody calls."""
    data = _V4 + _find("pandas.core.config_init", "os") + b"N}" + _text("owned_by_a_pickle") + b"\x88s\x86b."
    pickle.loads(data)
    assert os.owned_by_a_pickle  # type: ignore[attr-defined]
    del os.owned_by_a_pickle  # type: ignore[attr-defined]
    workshop.put_signed({"model.pkl": data}, pickles={"model.pkl": ("pandas.core.config_init:os",)})
    with (
        workshop.verify() as package,
        pytest.raises(sp.UnsafePickle, match="config_init:os, which is os under another"),
    ):
        package.load_pickle("model.pkl")
    assert not hasattr(os, "owned_by_a_pickle")


@pytest.mark.parametrize(
    ("module", "name", "what"),
    [
        ("fontTools.voltLib.parser", "open", open),
        ("pandas.core.config_init", "os", os),
        ("lightgbm.engine", "attrgetter", operator.attrgetter),
        ("sklearn.utils.validation", "reduce", functools.reduce),
        ("sklearn.utils", "Bunch", None),
        ("numpy.core.multiarray", "fromfile", multiarray.fromfile),
    ],
)
def test_a_forbidden_thing_under_a_harmless_name(module: str, name: str, what: object) -> None:
    data = _V4 + _find(module, name) + b"."
    if what is None:
        assert pickles.load(data, [f"{module}:{name}"]) is Bunch
        return
    assert pickle.loads(data) is what
    with pytest.raises(sp.UnsafePickle, match="under another name"):
        pickles.load(data, [f"{module}:{name}"])


def test_the_list_is_the_pickle_s_own(workshop: Any, refused: Any) -> None:
    """A name that is signed for one pickle of a package says nothing of another."""
    files = {
        "a.pkl": _V4 + _find("collections", "OrderedDict") + b".",
        "b.pkl": _V4 + _find("decimal", "Decimal") + b".",
    }
    workshop.put_signed(files, pickles={"a.pkl": ("collections:OrderedDict",), "b.pkl": ("collections:OrderedDict",)})
    with workshop.verify() as package:
        package.load_pickle("a.pkl")
        with refused(sp.UnsafePickle, match="b.pkl asks for decimal:Decimal, which is not on its signed list"):
            package.load_pickle("b.pkl")


@pytest.mark.parametrize("data", [b"(Vx\nibuiltins\nlist\n.", b"(cbuiltins\nlist\nVx\no."], ids=["INST", "OBJ"])
def test_the_ways_of_python_2_are_refused(data: bytes, refused: Any) -> None:
    assert pickle.loads(data) == ["x"]
    with refused(sp.UnsafePickle, match="uses the opcode"):
        pickles.scan(data)
    with pytest.raises(sp.UnsafePickle, match="in the way of Python 2"):
        RestrictedUnpickler(data, ["builtins:list"], "it").load()


def test_the_unpickler_knows_no_extensions(extension: bytes, refused: Any) -> None:
    with refused(sp.UnsafePickle, match="asks for the extension"):
        RestrictedUnpickler(b"\x80\x02" + extension + b".", ["os:mkdir"], "it").load()
