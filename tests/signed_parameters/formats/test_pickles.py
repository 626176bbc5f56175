import collections
import datetime
import decimal
import io
import pickle
import pickletools
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters.formats import pickles
from signed_parameters.formats.unpickling import RestrictedUnpickler

PROTOCOLS = [4, 5]
OBJECTS = {
    "nothing": None,
    "plain": {"a": [1, 2.5, "x", b"y", (True, None)], "b": {1, 2}, "large": 1 << 100},
    "standard library": [collections.OrderedDict(a=1), datetime.date(2026, 11, 21), decimal.Decimal("1.5")],
    "arrays": {"w": np.arange(6.0).reshape(2, 3), "s": np.float64(1.5), "o": np.array(["a", None], dtype=object)},
    "shared": [["twice"]] * 2,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", OBJECTS)
def test_what_was_scanned_is_loaded(name: str, protocol: int) -> None:
    data = pickle.dumps(OBJECTS[name], protocol)
    loaded = pickles.load(data, pickles.scan(data))
    assert repr(loaded) == repr(OBJECTS[name])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_optimized_pickle_is_scanned_the_same(protocol: int) -> None:
    data = pickle.dumps([collections.OrderedDict(a=1), collections.OrderedDict(b=2)], protocol)
    optimized = pickletools.optimize(data)
    assert pickles.scan(optimized) == pickles.scan(data) == ("collections:OrderedDict",)
    assert pickles.load(optimized, ["collections:OrderedDict"]) == [{"a": 1}, {"b": 2}]


def test_the_globals_of_an_array_are_found() -> None:
    found = pickles.scan(pickle.dumps(np.arange(3), 4))
    assert found == ("numpy.core.multiarray:_reconstruct", "numpy:dtype", "numpy:ndarray")


@pytest.mark.parametrize("missing", ["numpy.core.multiarray:_reconstruct", "numpy:dtype", "numpy:ndarray"])
def test_each_global_must_be_on_the_list(missing: str) -> None:
    data = pickle.dumps(np.arange(3), 4)
    allowed = [name for name in pickles.scan(data) if name != missing]
    with pytest.raises(sp.UnsafePickle, match=f"asks for {missing}, which is not on its signed list"):
        pickles.load(data, allowed)


def test_a_list_is_no_prefix_and_no_pattern() -> None:
    data = pickle.dumps(collections.OrderedDict(), 4)
    for allowed in (["collections:deque"], ["numpy:OrderedDict"], ["collection:OrderedDict"], []):
        with pytest.raises(sp.UnsafePickle, match="not on its signed list"):
            pickles.load(data, allowed)


@pytest.mark.parametrize("protocol", [0, 1])
def test_names_of_python_2_are_refused_with_the_cure(protocol: int) -> None:
    """Protocols 0 and 1 write them, and loading would need a translation that nobody signed."""
    data = pickle.dumps(decimal.Context, protocol) + b""
    assert pickles.scan(data) == ("decimal:Context",)
    data = pickle.dumps(Plain(), protocol)
    with pytest.raises(sp.UnsafePickle, match=r"a name of Python 2\. Dump the model again with protocol 4 or later"):
        pickles.scan(data)


class Plain:
    pass


@pytest.mark.parametrize(
    "name",
    [
        *("os:system", "posix:system", "nt:system", "os.path:join", "subprocess:Popen", "sys:exit", "shutil:rmtree"),
        *("builtins:eval", "builtins:exec", "builtins:getattr", "builtins:__import__", "builtins:open", "io:open"),
        *("_io:FileIO", "importlib:import_module", "importlib.util:find_spec", "runpy:run_path", "ctypes:CDLL"),
        *("numpy:load", "numpy.testing._private.utils:runstring", "pandas:read_pickle", "joblib:load", "pickle:loads"),
        *("joblib.numpy_array:anything", "operator:attrgetter", "operator:call", "copyreg:add_extension"),
        *("_thread:start_new_thread", "types:FunctionType", "__main__:anything", "torch:load"),
        *("torch.storage:_load_from_bytes", "", ":", "os:", ":system", "logging:os.mkdir", "a:b:c.d"),
        *("logging.config:_resolve", "logging:FileHandler", "zipfile:ZipFile", "functools:reduce", "builtins:map"),
        *(
            "builtins:memoryview",
            "types:CodeType",
            "numpy:savetxt",
            "numpy:memmap",
            "pandas.core.computation.eval:eval",
        ),
        *(
            "signed_parameters.formats.pickles:scan",
            "antigravity:fly",
            "operator:methodcaller",
            "collections:abc",
            "yaml:load",
        ),
    ],
)
def test_what_runs_code_can_never_be_allowed(name: str) -> None:
    with pytest.raises(sp.UnsafePickle):
        pickles.load(b"N.", [name])


def test_what_needs_no_code_can_be_allowed() -> None:
    for name in (
        *("sklearn.pipeline:Pipeline", "ostrich:Bird", "builtins:set", "numpy:ndarray", "system.os:x", "osx:y"),
        *("functools:partial", "operator:itemgetter", "types:SimpleNamespace", "math:sqrt", "uuid:UUID"),
    ):
        assert pickles.load(b"N.", [name]) is None


def test_a_library_that_is_missing_is_named() -> None:
    data = b"\x80\x04\x8c\x0dnot_installed\x8c\x05Model\x93."
    with pytest.raises(sp.UnsafePickle, match=r"cannot be loaded here.*No module named 'not_installed'.*runtime"):
        pickles.load(data, pickles.scan(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"N",
        b"}",
        b"(.",
        b"\x80",
        b"\x80\xff.",
        b"\xff.",
        b"0.",
        b"R.",
        b"\x93.",
        b"h\x05.",
        b"a.",
        b"s.",
        b"c\\d\nx\n.",
        b"S'\\d'\n.",
        b"V\\uD800\\u\n.",
        b"I" + b"9" * 5000 + b"\n.",
        b"p-1\n.",
        b"Np-1\n.",
        b"\x80\x05\x97.",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xffN.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx.",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7fx.",
    ],
    ids=repr,
)
def test_a_broken_pickle_raises_our_error(data: bytes) -> None:
    with pytest.raises(sp.UnsafePickle):
        pickles.load(data, [])


@pytest.mark.parametrize(
    "store", [b"r\xff\xff\xff\xff", b"p4294967295\n", b"p99999999999999999999\n", b"r\x00\x00\x00\x10"]
)
def test_a_number_that_would_reserve_gibibytes_is_refused(store: bytes) -> None:
    """The unpickler reserves, and fills, 16 bytes for each number up to the one that a pickle names."""
    with pytest.raises(sp.UnsafePickle, match="numbers its objects in leaps"):
        pickles.load(b"N" + store + b".", [])


def test_an_object_that_nests_very_deeply_raises_our_error_or_loads() -> None:
    assert pickles.load(b"]" * 50_000 + b"a" * 49_999 + b".", []) is not None


@given(st.binary(max_size=60))
def test_scanning_arbitrary_bytes_raises_nothing_but_our_error(data: bytes) -> None:
    with suppress(sp.UnsafePickle):
        assert isinstance(pickles.scan(data), tuple)


@given(st.binary(max_size=60))
def test_loading_arbitrary_bytes_raises_nothing_but_our_error(data: bytes) -> None:
    with suppress(sp.UnsafePickle):
        pickles.load(data, [])


def _text(name: str) -> bytes:
    return b"\x8c" + bytes([len(name)]) + name.encode()


_PIECES = [
    *(_text("alpha"), _text("beta"), b"X\x05\x00\x00\x00gamma", b"Vdelta\n", b"U\x04zeta", b"S'eta'\n"),
    *(
        b"\x94",
        b"q\x00",
        b"q\x01",
        b"r\x02\x00\x00\x00",
        b"p0\n",
        b"p1\n",
        b"h\x00",
        b"h\x01",
        b"g0\n",
        b"j\x02\x00\x00\x00",
    ),
    *(
        b"0",
        b"1",
        b"2",
        b"(",
        b")",
        b"N",
        b"t",
        b"l",
        b"]",
        b"}",
        b"\x85",
        b"\x86",
        b"\x87",
        b"a",
        b"s",
        b"b",
        b"e",
        b"u",
    ),
    *(
        b"\x93",
        b"calpha\nbeta\n",
        b"ibeta\nalpha\n",
        b"o",
        b"R",
        b"\x81",
        b"\x92",
        b"\x80\x04",
        b"\x80\x02",
        b"\x95" + bytes(8),
    ),
]


class _Anything(dict):  # type: ignore[type-arg]
    """Stands for whatever a pickle asks for, and puts up with whatever is done to it."""

    def __new__(cls, *arguments: object, **named: object) -> "_Anything":
        return super().__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__()


class _Recorder(pickle.Unpickler):
    """The interpreter's own unpickler, which tells what it was asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)
        self.asked: set[str] = set()

    def find_class(self, module: str, name: str, /) -> Any:
        self.asked.add(f"{module}:{name}")
        return _Anything


@settings(max_examples=600)
@given(st.lists(st.sampled_from(_PIECES), max_size=14))
def test_the_scan_finds_every_name_that_the_unpickler_asks_for(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"."
    try:
        found = set(pickles.scan(data))
    except sp.UnsafePickle:
        return
    recorder = _Recorder(data)
    try:
        recorder.load()
    except Exception:
        assert recorder.asked <= found
    else:
        assert recorder.asked <= found


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([_text("alpha"), _text("beta"), b"\x94", b"q\x00", b"h\x00", b"h\x01", b"g0\n", b"0", b"2"]),
        max_size=8,
    ),
)
def test_the_scan_agrees_on_names_from_the_memo(pieces: list[bytes]) -> None:
    data = _text("one") + b"\x94" + _text("two") + b"\x94" + b"".join(pieces) + b"\x93."
    try:
        found = set(pickles.scan(data))
    except sp.UnsafePickle:
        return
    recorder = _Recorder(data)
    try:
        recorder.load()
    except pickle.UnpicklingError:
        return
    assert recorder.asked == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_text("collections") + _text("OrderedDict") + b"\x93.", "not on its signed list"),
        (_text("posix") + _text("system") + b"\x93.", "nothing that runs commands or code"),
        (_text("logging") + _text("os.mkdir") + b"\x93.", "Dotted names are never allowed"),
        (b"ccollections\nOrderedDict\n.", "not on its signed list"),
    ],
)
def test_the_unpickler_refuses_even_what_a_scan_would_have_missed(data: bytes, message: str) -> None:
    with pytest.raises(sp.UnsafePickle, match=message):
        RestrictedUnpickler(b"\x80\x04" + data, (), "the pickle").load()
