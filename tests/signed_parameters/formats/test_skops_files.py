"""skops files, and attacks by them: each is first seen to work with skops alone, its own audit trusted."""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import signed_parameters as sp
from signed_parameters.formats import skops_files

Node = dict[str, Any]


def node(loader: str, module: str, name: str, **content: Any) -> Node:
    return {"__loader__": loader, "__module__": module, "__class__": name, **content}


def text(value: str) -> Node:
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def arguments(*values: Node) -> Node:
    return node("TupleNode", "builtins", "tuple", content=list(values))


def pack(tree: object, files: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a skops file of a tree of nodes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        if isinstance(tree, dict):
            tree = {**tree, "protocol": skops.io._protocol.PROTOCOL, "_skops_version": skops.__version__}
        archive.writestr("schema.json", tree if isinstance(tree, str) else json.dumps(tree))
        for name, content in (files or {}).items():
            archive.writestr(name, content)
    return data.getvalue()


def load_by_skops_alone(data: bytes) -> Any:
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


@pytest.fixture
def model() -> Any:
    data = np.random.default_rng(0).normal(size=(60, 3))
    steps = StandardScaler(), FunctionTransformer(np.abs), LogisticRegression()
    return make_pipeline(*steps).fit(data, data[:, 0] > 0)


def test_what_was_scanned_is_loaded(model: Any) -> None:
    data = skops_files.dump(model)
    names = skops_files.scan(data)
    assert "sklearn.pipeline:Pipeline" in names
    assert "numpy:ndarray" in names, "what skops trusts by itself is listed too"
    rows = np.random.default_rng(1).normal(size=(20, 3))
    assert (skops_files.load(data, names).predict_proba(rows) == model.predict_proba(rows)).all()


@pytest.mark.parametrize("matrix", [scipy.sparse.eye(5).tocsr(), scipy.sparse.csr_array(np.eye(5))])
def test_a_sparse_matrix_is_loaded(matrix: Any) -> None:
    data = skops_files.dump({"m": matrix})
    assert (skops_files.load(data, skops_files.scan(data))["m"].toarray() == np.eye(5)).all()


def test_each_type_must_be_on_the_list(model: Any) -> None:
    data = skops_files.dump(model)
    names = skops_files.scan(data)
    for missing in names:
        with pytest.raises(sp.UnsafePickle, match=f"asks for {missing}, which is not on its signed list"):
            skops_files.load(data, [name for name in names if name != missing])


def test_a_package_s_skops_file_is_loaded_by_its_own_list(model: Any, workshop: Any, make_package: Any) -> None:
    data = skops_files.dump(model)
    path = make_package({"model.skops": data, "other.pkl": b"N."})
    with sp.verify_package(path, workshop.policy) as package:
        assert package.statement.pickles["model.skops"] == skops_files.scan(data)
        assert package.statement.runtime["skops"] == skops.__version__
        assert package.load_skops("model.skops").steps[0][0] == "standardscaler"
        with pytest.raises(
            sp.UnsafePickle, match=r"other.pkl has no signed list of globals: expected one of model.skops"
        ):
            package.load_skops("other.pkl")
        with pytest.raises(
            sp.UnsafePickle, match=r"model.skops has no signed list of globals: expected one of other.pkl"
        ):
            package.load_pickle("model.skops")
    workshop.put_signed({"model.skops": data}, pickles={"model.skops": ("builtins:dict", "builtins:str")})
    with workshop.verify() as package, pytest.raises(sp.UnsafePickle, match="not on its signed list"):
        package.load_skops("model.skops")
    workshop.put_signed({"model.skops": data})
    with workshop.verify() as package, pytest.raises(sp.UnsafePickle, match="no signed list"):
        package.load_skops("model.skops")


def _call(module: str, name: str, *values: Node) -> Node:
    return node("ConstructorFromReduceNode", module, name, content=arguments(*values))


def _function(module: str, name: str) -> Node:
    return node("FunctionNode", module, name)


EXPLOITS: dict[str, Callable[[str], Node]] = {
    "a call": lambda p: _call("os", "mkdir", text(p)),
    "a call of the same by its other name": lambda p: _call("posix", "mkdir", text(p)),
    "a call by reduce": lambda p: _call(
        "functools", "reduce", _function("os", "mkdir"), node("JsonNode", "x", "y", content=json.dumps([p, 0o777]))
    ),
    "a call by an operator": lambda p: node(
        "OperatorFuncNode", "operator", "call", attrs=arguments(_function("os", "mkdir"), text(p))
    ),
    "a class that opens": lambda p: _call("logging", "FileHandler", text(p)),
    "a class of numpy that opens": lambda p: _call(
        "numpy", "memmap", text(p), text("u1"), text("w+"), node("JsonNode", "x", "y", content="0"), arguments()
    ),
}


@pytest.mark.parametrize("name", EXPLOITS)
def test_an_exploit(name: str, tmp_path: Path, workshop: Any, refused: Any, make_package: Any) -> None:
    target = tmp_path / "owned"
    data = pack(EXPLOITS[name](str(target)))
    loaded = load_by_skops_alone(data)
    assert target.exists(), "the exploit works with skops, once its list is trusted"
    if hasattr(loaded, "close"):
        loaded.close()
    target.rmdir() if target.is_dir() else target.unlink()
    with refused(sp.UnsafePickle):
        make_package({"model.skops": data})
    names = tuple(name.replace(".", ":") for name in skops.io.get_untrusted_types(data=data) if name.count(".") == 1)
    for allowed in ((), names, ("builtins:str", "builtins:tuple", *names)):
        workshop.put_signed({"model.skops": data}, pickles={"model.skops": allowed})
        with workshop.verify() as package, refused(sp.UnsafePickle):
            package.load_skops("model.skops")
    assert not target.exists()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (node("OperatorFuncNode", "operator", "methodcaller", attrs=arguments(text("fit"))), "no bound methods"),
        (node("OperatorFuncNode", "operator", "attrgetter", attrs=arguments(text("a"))), "no bound methods"),
        (
            node("MethodNode", "builtins", "str", content={"func": "upper", "obj": text("a")}),
            "holds builtins.str by a MethodNode",
        ),
        (_function("", "open"), "skops file"),
        (_function("os", "path.join"), "a name directly in a module"),
        (_function("os:path", "join"), "a name directly in a module"),
        (node("TypeNode", "__main__", "Model"), "__main__:Model, which the script or notebook"),
        (node("TypeNode", "builtins", "eval"), "nothing that runs commands or code"),
        (node("NoSuchNode", "builtins", "str"), "is no skops file"),
        (node("JsonNode", "builtins", "str"), "is no skops file"),
        ({"__loader__": "TypeNode", "__module__": ["os"], "__class__": "x"}, "skops file|a name directly"),
        (arguments(node("TypeNode", "numpy", "load")), "nothing that runs commands or code"),
    ],
)
def test_what_is_never_allowed(tree: Node, message: str, refused: Any) -> None:
    with refused(sp.UnsafePickle, match=message):
        skops_files.scan(pack(tree))


def test_an_operator_that_takes_items_is_loaded() -> None:
    data = pack(node("OperatorFuncNode", "operator", "itemgetter", attrs=arguments(text("a"))))
    assert skops_files.load(data, skops_files.scan(data))({"a": 5}) == 5


def test_a_forbidden_thing_under_a_harmless_name() -> None:
    for module, name in (("pandas.core.config_init", "os"), ("lightgbm.engine", "attrgetter")):
        data = pack(arguments(_function(module, name)))
        assert load_by_skops_alone(data)
        with pytest.raises(sp.UnsafePickle, match="under another name"):
            skops_files.load(data, skops_files.scan(data))


def _bytes_node(file: str, **more: Any) -> Node:
    return node("BytesNode", "builtins", "bytes", file=file, **more)


def _sparse(file: str, **more: Any) -> Node:
    return node("SparseMatrixNode", "scipy.sparse._csr", "csr_matrix", type="scipy", file=file, **more)


def _zeros() -> bytes:
    data = io.BytesIO()
    scipy.sparse.save_npz(data, scipy.sparse.csr_matrix((np.zeros(1 << 23), np.zeros(1 << 23, int), [0, 1 << 23])))
    return data.getvalue()


def _over_and_over(**numbered: int) -> bytes:
    nodes = [_bytes_node("a") for _ in range(50)] + [_bytes_node("a", __id__=number) for number in numbered.values()]
    return pack(arguments(*nodes), {"a": bytes(1 << 16)})


BOMBS: dict[str, Callable[[], bytes]] = {
    "a compressed file": lambda: pack(arguments(_bytes_node("a")), {"a": bytes(1 << 20)}, zipfile.ZIP_DEFLATED),
    "one file over and over": _over_and_over,
    "one file over and over, by numbers": lambda: _over_and_over(**{f"n{number}": number for number in range(9)}),
    "a sparse matrix of zeros": lambda: pack(arguments(_sparse("a")), {"a": _zeros()}),
    "a tree that nests deeply": lambda: pack("[" * 100_000 + "]" * 100_000),
    "nodes that nest deeply": lambda: pack('{"content":[' * 20_000 + "]}" * 20_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb(name: str, refused: Any) -> None:
    data = BOMBS[name]()
    with refused(sp.UnsafePickle):
        skops_files.scan(data)


def test_a_file_that_lies_about_its_size(refused: Any) -> None:
    data = bytearray(pack(arguments(_bytes_node("a")), {"a": bytes(5000)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.rindex(signature)
        data[at + offset : at + offset + 4] = (10).to_bytes(4, "little")
    with refused(sp.UnsafePickle, match="compressed files"):
        skops_files.scan(bytes(data))


def test_two_files_of_one_name(refused: Any) -> None:
    data = io.BytesIO(pack(text("a")))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(data, "a") as archive:
        archive.writestr("schema.json", json.dumps(text("b")))
    with refused(sp.UnsafePickle, match="two files of one name"):
        skops_files.scan(data.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK", b"N.", pack([]), pack("{"), pack("null"), pack({"protocol": 1})])
def test_what_is_no_skops_file(data: bytes, refused: Any) -> None:
    with refused(sp.UnsafePickle, match="is no skops file"):
        skops_files.scan(data)


def test_no_entry_changed_is_taken(model: Any, workshop: Any, make_package: Any) -> None:
    """It is opened after its digest held, not before."""
    path = make_package({"model.skops": skops_files.dump(model)})
    changed = bytearray(path.read_bytes())
    at = changed.index(b"sklearn.pipeline")
    changed[at] ^= 1
    path.write_bytes(bytes(changed))
    with pytest.raises(sp.DigestMismatch):
        sp.verify_package(path, workshop.policy)


def test_what_skops_cannot_write_gets_the_remedy() -> None:
    with pytest.raises(sp.ConfigurationError, match=r"skops cannot write a generator.*Sign it as a pickle"):
        skops_files.dump(number for number in ())


_TREE = json.dumps(arguments(text("a"), _bytes_node("b"), node("TypeNode", "builtins", "int"))).encode()


@given(st.data())
def test_a_damaged_tree_raises_nothing_but_our_error(data: st.DataObject) -> None:
    damaged = bytearray(_TREE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(32, 126))
    packed = pack(damaged.decode(), {"b": b"x"})
    with suppress(sp.UnsafePickle):
        assert isinstance(skops_files.scan(packed), tuple)
    with suppress(sp.UnsafePickle):
        skops_files.load(packed, ["builtins:str", "builtins:tuple", "builtins:bytes", "builtins:int"])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["os", "TypeNode", "JsonNode", "b", "str", "builtins"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["__loader__", "__module__", "__class__", "__id__", "content", "file", "type", "shape"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_any_tree_raises_nothing_but_our_error(tree: Any) -> None:
    with suppress(sp.UnsafePickle):
        skops_files.scan(pack(json.dumps({**tree, "protocol": 2} if isinstance(tree, dict) else tree), {"b": b"x"}))
