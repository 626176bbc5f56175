"""`sign_model` and `load_model`: one line on each side, for every kind of model."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import signed_parameters as sp

Rows = NDArray[np.float64]
_RANDOM = np.random.default_rng(3)
ROWS: Rows = _RANDOM.normal(size=(120, 4))
TARGET = (ROWS[:, 0] + 0.3 * ROWS[:, 1] > 0).astype(int)


def _pipeline() -> Any:
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", FunctionTransformer(np.abs), [2, 3])])
    return make_pipeline(columns, SimpleImputer(), LogisticRegression()).fit(ROWS, TARGET)


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0).fit(ROWS, TARGET),
    "random forest": lambda: RandomForestClassifier(5, random_state=0).fit(ROWS, TARGET),
    "random forest, regression": lambda: RandomForestRegressor(5, random_state=0).fit(ROWS, ROWS[:, 1]),
    "histogram gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=5).fit(ROWS, TARGET),
    "logistic regression": lambda: LogisticRegression().fit(ROWS, TARGET),
    "neighbours": lambda: KNeighborsClassifier(algorithm="kd_tree").fit(ROWS, TARGET),
    "pipeline": _pipeline,
    "LightGBM": lambda: lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(ROWS, TARGET),
    "XGBoost": lambda: xgboost.XGBClassifier(n_estimators=5).fit(ROWS, TARGET),
}


def _predict(model: Any) -> Rows:
    answer = model.predict_proba(ROWS) if hasattr(model, "predict_proba") else model.predict(ROWS)
    return np.asarray(answer)


@pytest.fixture
def sign(tmp_path: Path, key: sp.SigningKey) -> Callable[..., str]:
    """`sign(model, **changes)` signs into a folder that is new."""

    def call(model: Any, to: Any = None, **changes: Any) -> str:
        what = {"key": key, "name": "m", "version": "0.1.0", "parameters_version": "1", "serial": 1}
        return sp.sign_model(model, to or tmp_path / "models", **{**what, **changes})

    return call


def _onnx_model() -> Any:
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("format", ["pickle", "skops"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_comes_back_with_equal_predictions(
    name: str, format: str, sign: Any, policy: sp.TrustPolicy
) -> None:
    model = ESTIMATORS[name]()
    loaded = sp.load_model(sign(model, format=format), policy)
    assert type(loaded) is type(model)
    assert (_predict(loaded) == _predict(model)).all()


@pytest.mark.parametrize("format", ["pickle", "skops"])
def test_boosters_come_back_with_equal_predictions(format: str, sign: Any, policy: sp.TrustPolicy) -> None:
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(ROWS, TARGET), num_boost_round=5)
    loaded = sp.load_model(sign(booster, format=format), policy)
    assert (loaded.predict(ROWS) == booster.predict(ROWS)).all()
    data = xgboost.DMatrix(ROWS, TARGET)
    booster = xgboost.train({"max_depth": 2}, data, num_boost_round=5)
    loaded = sp.load_model(sign(booster, format=format, parameters_version="2"), policy)
    assert (loaded.predict(data) == booster.predict(data)).all()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.ones((3, 2))),
        np.arange(10)[::2],
        np.array(["a", None, 1.5], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.array([1, 2], mask=[True, False]),
        np.float32(1.5),
    ],
)
def test_arrays_come_back(array: Any, sign: Any, policy: sp.TrustPolicy) -> None:
    loaded = sp.load_model(sign({"w": array}), policy)["w"]
    assert loaded.dtype == array.dtype
    assert repr(loaded) == repr(array)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_an_onnx_model_comes_back_as_a_session(as_bytes: bool, sign: Any, policy: sp.TrustPolicy) -> None:
    model = _onnx_model()
    session = sp.load_model(sign(model.SerializeToString() if as_bytes else model, format="onnx"), policy)
    assert session.run(None, {"x": np.float32([1, 2])})[0].tolist() == [2, 4]


def test_what_is_stored(sign: Any, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    (tmp_path / "card.md").write_text("# A model")
    uri = sign([1], files={"card.md": tmp_path / "card.md"}, expires_in=timedelta(days=9), libraries={"mine": "7"})
    assert uri == str(tmp_path / "models" / "m-0.1.0-1.zip")
    with sp.verify_package(uri, policy) as package:
        statement = package.statement
        assert package.names == ("card.md", "model.pkl")
        assert package.read("card.md") == b"# A model"
    assert statement.package_name == Path(uri).name
    assert statement.expires == statement.created + timedelta(days=9)
    assert statement.runtime["mine"] == "7"
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        Path(uri).name,
        f"{Path(uri).name}.dsse.json",
    ]


def test_the_serial_is_the_next_one(sign: Any, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    for number in (1, 2, 3):
        uri = sign([number], serial=None, parameters_version=str(number))
        with sp.verify_package(uri, policy) as package:
            assert package.statement.serial == number
    sign([9], name="another", serial=50)
    with sp.verify_package(sign([4], serial=None, parameters_version="4"), policy) as package:
        assert package.statement.serial == 4


def test_a_bucket_takes_and_gives(
    sign: Any, s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, policy: sp.TrustPolicy
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    uri = sign({"a": 1}, f"s3://{s3_bucket}/folder", serial=None)
    assert uri == f"s3://{s3_bucket}/folder/m-0.1.0-1.zip"
    assert sp.load_model(uri, policy) == {"a": 1}
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        sign({"a": 2}, f"s3://{s3_bucket}/folder")
    assert sp.load_model(uri, policy) == {"a": 1}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(sp.AccessDenied):
        sign({"a": 2}, f"s3://{s3_bucket}/folder", parameters_version="2")


@pytest.mark.parametrize("there", ["m-0.1.0-1.zip", "m-0.1.0-1.zip.dsse.json"])
def test_it_never_overwrites(there: str, sign: Any, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / there).write_bytes(b"kept")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        sign([1])
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(there, b"kept")]


def test_a_folder_that_cannot_be_written(sign: Any, tmp_path: Path, permissions_count: None) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(sp.AccessDenied, match="closed"):
        sign([1], folder)
    assert list(folder.iterdir()) == []


def test_an_address_of_an_unknown_kind(sign: Any) -> None:
    with pytest.raises(sp.ConfigurationError, match="unknown kind"):
        sign([1], "ftp://there/models")


def _generator() -> Iterator[int]:
    yield 1


class _Rebuilt:
    """Says that it is rebuilt by a call."""

    def __init__(self, *how: Any) -> None:
        self._how = how

    def __reduce__(self) -> Any:
        return self._how


class _Broken:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("how?")


@pytest.mark.parametrize(
    "model",
    [lambda: 1, _generator(), threading.Lock(), sys, _Broken(), type("Local", (), {})()],
    ids=["lambda", "generator", "lock", "module", "broken", "local class"],
)
def test_what_cannot_be_pickled_gets_the_remedy(model: Any, sign: Any, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"cannot be pickled.*Take functions and classes from modules"):
        sign({"x": model})
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_Rebuilt(os.system, ("true",)), "model.pkl asks for posix:system: expected nothing that runs commands"),
        (_Rebuilt(eval, ("1",)), "model.pkl asks for builtins:eval"),
        (_Rebuilt(np.geterr, ()), "model.pkl calls numpy:geterr: expected calls of classes"),
    ],
)
def test_a_model_that_needs_what_is_never_allowed(model: Any, message: str, sign: Any, tmp_path: Path) -> None:
    with pytest.raises(sp.UnsafePickle, match=message):
        sign(model)
    assert not (tmp_path / "models").exists()


def test_a_class_of_the_script_gets_the_remedy(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import signed_parameters as sp\n"
        "class Model: pass\n"
        "try:\n"
        "    key = sp.SigningKey.generate()\n"
        "    sp.sign_model(Model(), 'models', key=key, name='m', version='1', parameters_version='1')\n"
        "except sp.UnsafePickle as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "asks for __main__:Model, which the script or notebook that made it defined" in done.stdout
    assert "Move it into a module" in done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "joblib"}, "the format is unknown: expected pickle, skops, onnx, found 'joblib'"),
        ({"format": "onnx"}, "this is no ONNX model: expected its bytes, or an onnx.ModelProto, found dict"),
        ({"files": {"model.pkl": "x"}}, "model.pkl is the model's own name"),
        ({"files": {"../x": "x"}}, "cannot be a file of a package"),
        ({"files": {"x": "/nowhere"}}, "cannot be built"),
        ({"version": "a b"}, "the package cannot be signed"),
        ({"name": "../x"}, "the package cannot be signed"),
        ({"parameters_version": ""}, "the package cannot be signed"),
        ({"serial": -1}, "the package cannot be signed"),
        ({"digest": "md5"}, "the digest algorithm is unknown"),
    ],
)
def test_values_that_are_not_usable(changes: dict[str, Any], message: str, sign: Any, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match=message):
        sign({"a": 1}, **changes)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("library", "format"), [("skops.io", "skops"), ("onnxruntime", "onnx")])
def test_a_library_that_is_missing_is_named(
    library: str, format: str, sign: Any, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _onnx_model() if format == "onnx" else LogisticRegression().fit(ROWS, TARGET)
    uri = sign(model, format=format)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(sp.ConfigurationError, match=f"need {library.partition('.')[0]}.*pip install"):
        sp.load_model(uri, policy)
    with pytest.raises(sp.ConfigurationError, match="pip install"):
        sign(model, format=format, parameters_version="2")
    if format == "onnx":
        assert sign(model, format=format, parameters_version="3", check=False)


def test_the_file_is_chosen_where_there_are_several(sign: Any, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    (tmp_path / "other.onnx").write_bytes(_onnx_model().SerializeToString())
    (tmp_path / "card.md").write_text("# A model")
    uri = sign({"a": 1}, files={name: tmp_path / name for name in ("other.onnx", "card.md")})
    with pytest.raises(sp.ConfigurationError, match=r"several models.*found model\.pkl, other\.onnx.*file="):
        sp.load_model(uri, policy)
    assert sp.load_model(uri, policy, file="model.pkl") == {"a": 1}
    assert sp.load_model(uri, policy, file="other.onnx").get_inputs()[0].name == "x"
    with pytest.raises(sp.ConfigurationError, match=r"card\.md is no model that can be loaded"):
        sp.load_model(uri, policy, file="card.md")
    with pytest.raises(sp.ConfigurationError, match=r"no file 'model\.joblib'"):
        sp.load_model(uri, policy, file="model.joblib")


def test_a_package_without_a_model(make_package: Any, policy: sp.TrustPolicy) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"holds no model.*found model\.joblib.*sign_model"):
        sp.load_model(make_package({"model.joblib": b"x"}), policy)


def test_a_tampered_package_is_refused(sign: Any, policy: sp.TrustPolicy, refused: Any) -> None:
    uri = sign({"a": 1})
    data = bytearray(Path(uri).read_bytes())
    data[60] ^= 1
    Path(uri).write_bytes(bytes(data))
    with refused(sp.DigestMismatch):
        sp.load_model(uri, policy)


def test_the_policy_may_be_a_file(sign: Any, tmp_path: Path, key: sp.SigningKey) -> None:
    uri = sign({"a": 1})
    path = tmp_path / "policy.yaml"
    path.write_text(f"name: m\nkeys: ['{key.verification_key}']\nminimum_serial: 1\n")
    assert sp.load_model(uri, path) == sp.load_model(uri, str(path)) == {"a": 1}
    path.write_text(f"name: m\nkeys: ['{key.verification_key}']\nminimum_serial: 2\n")
    with pytest.raises(sp.RolledBack):
        sp.load_model(uri, path)
    with pytest.raises(sp.ConfigurationError, match="a TrustPolicy, or the path of a policy file, found dict"):
        sp.load_model(uri, {})  # type: ignore[arg-type]


def test_no_file_stays_open(sign: Any, policy: sp.TrustPolicy) -> None:
    uri = sign({"a": 1})
    before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
    sp.load_model(uri, policy)
    with pytest.raises(sp.ConfigurationError):
        sp.load_model(uri, policy, file="nothing.pkl")
    assert sys.platform != "linux" or set(os.listdir("/proc/self/fd")) == before


def test_importing_the_package_imports_no_library_of_models() -> None:
    heavy = "numpy sklearn skops onnxruntime onnx joblib pandas ml_base"
    code = f"import sys, signed_parameters; print([n for n in '{heavy}'.split() if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
