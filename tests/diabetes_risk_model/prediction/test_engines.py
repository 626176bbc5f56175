import json
import subprocess
import sys

import numpy as np
import pytest

from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS, load_engine
from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.training.agreement import every_input, survey_rows
from diabetes_risk_model.training.train import SELECTED
from signed_parameters import ConfigurationError, MalformedPackage, TrustPolicy, verify_package

ENGINES = ("table", "onnx", "pickle")


def columns_of(rows):
    return tuple(rows.T.tolist())


@pytest.fixture
def package(bucket):
    policy = TrustPolicy(name="diabetes_risk_model", keys=[bucket.key.verification_key])
    with verify_package(bucket.package, policy) as verified:
        yield verified


def test_the_columns_are_those_that_training_selects():
    assert tuple(column.name for column in SELECTED) == INPUT_COLUMNS


def random_rows():
    """Answers as people give them, with decimals in the body mass index, and some missing."""
    source = np.random.default_rng(7)
    codes = [source.integers(1, top + 1, 20_000) for top in (5, 13, 8)]
    rows = np.column_stack([source.uniform(15, 60, 20_000), *codes])
    rows[source.random(rows.shape) < 0.1] = np.nan
    return rows


def beside_every_cut(package):
    """Both sides of each value at which a tree decides, in each column, the others being answered or missing."""
    table = Table.from_bytes(package.read("model.table"), INPUT_COLUMNS)
    rows = []
    for others in ((28.0, 3.0, 9.0, 5.0), (np.nan,) * 4):
        for position, axis in enumerate(table.axes):
            cuts = np.array(axis.cuts)
            for values in (np.nextafter(cuts, -np.inf), cuts, np.nextafter(cuts, np.inf)):
                rows += [[*others[:position], value, *others[position + 1 :]] for value in values]
    return np.array(rows)


@pytest.mark.parametrize("kind", ["every input", "survey", "random", "cuts"])
def test_the_engines_agree(package, trained_model, kind):
    make = {
        "every input": lambda: every_input(SELECTED),
        "survey": lambda: survey_rows(draw(5_000, seed=3), SELECTED),
        "random": random_rows,
        "cuts": lambda: beside_every_cut(package),
    }
    rows = make[kind]()
    expected = trained_model.pipeline.predict_proba(rows)[:, 1]
    found = {name: np.array(load_engine(package, name).probabilities(columns_of(rows))) for name in ENGINES}
    assert np.array_equal(found["pickle"], expected)
    assert np.array_equal(found["table"], expected)
    from_onnx = found["onnx"]
    assert np.abs(from_onnx - expected).max() < 1e-6
    assert np.array_equal(from_onnx > 0.5, expected > 0.5)


@pytest.mark.parametrize("name", ENGINES)
def test_one_row_and_many_give_the_same(package, name):
    engine = load_engine(package, name)
    rows = every_input(SELECTED)[::1000]
    assert [engine.probability(tuple(row)) for row in rows.tolist()] == list(engine.probabilities(columns_of(rows)))


def test_a_model_of_other_columns_is_refused(make_bucket, trained_model, tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"columns": ["BMI", "GeneralHealth", "Age", "PhysicalHealth"]}))
    bucket = make_bucket(files={**trained_model.files, "manifest.json": manifest})
    policy = TrustPolicy(name="diabetes_risk_model", keys=[bucket.key.verification_key])
    with (
        verify_package(bucket.package, policy) as package,
        pytest.raises(ConfigurationError, match=r"Income, found .*PhysicalHealth"),
    ):
        load_engine(package, "onnx")


@pytest.mark.parametrize("manifest", ["", "{}", "[]", '{"columns": null}', "[" * 100_000])
def test_a_manifest_that_names_no_columns_is_refused(make_bucket, trained_model, tmp_path, manifest):
    path = tmp_path / "manifest.json"
    path.write_text(manifest)
    bucket = make_bucket(files={**trained_model.files, "manifest.json": path})
    policy = TrustPolicy(name="diabetes_risk_model", keys=[bucket.key.verification_key])
    with (
        verify_package(bucket.package, policy) as package,
        pytest.raises(ConfigurationError, match=r"found none in manifest.json"),
    ):
        load_engine(package, "onnx")


def test_the_pickle_engine_without_scikit_learn_says_what_to_do(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ConfigurationError, match=r'engine "pickle" needs scikit-learn.*engine to "onnx"'):
        load_engine(package, "pickle")


def package_without(make_bucket, trained_model, *names, **others):
    files = {name: path for name, path in trained_model.files.items() if name not in names}
    bucket = make_bucket(files={**files, **others})
    return verify_package(bucket.package, TrustPolicy("diabetes_risk_model", [bucket.key.verification_key]))


def test_a_package_of_before_there_were_tables_says_what_to_do(make_bucket, trained_model):
    with (
        package_without(make_bucket, trained_model, "model.table") as package,
        pytest.raises(ConfigurationError, match=r'needs model\.table, .*not hold\. Set engine to "onnx"'),
    ):
        load_engine(package, "table")


def test_a_table_that_is_none_is_refused(make_bucket, trained_model, tmp_path):
    path = tmp_path / "table"
    path.write_bytes(b"{}\n")
    with (
        package_without(make_bucket, trained_model, **{"model.table": path}) as package,
        pytest.raises(MalformedPackage, match=r"model\.table does not begin with its header"),
    ):
        load_engine(package, "table")


def test_the_table_needs_neither_numpy_nor_another_library(bucket, tmp_path):
    """In a process of its own: fetch, verify, load, answer one, answer many, and tell what was imported."""
    program = tmp_path / "program.py"
    program.write_text(
        "import json, sys\n"
        "from diabetes_risk_model.prediction.model import DiabetesRiskModel\n"
        "model = DiabetesRiskModel(**json.loads(sys.argv[1]))\n"
        "model.predict(model.input_schema(age='FROM_80'))\n"
        "model.predict_batch([{}, {'age': 'OLD'}, {'body_mass_index': 28.5}]).to_json()\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    command = [sys.executable, str(program), json.dumps(bucket.settings(engine="table"))]
    done = subprocess.run(command, capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "diabetes_risk_model.prediction.table" in loaded
    assert not loaded & {"numpy", "onnxruntime", "sklearn", "pandas", "skops", "minio"}
