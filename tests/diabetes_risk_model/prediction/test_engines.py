import json
import sys

import numpy as np
import pytest

from diabetes_risk_model.prediction.engines import INPUT_COLUMNS, load_engine
from diabetes_risk_model.training.agreement import every_input
from diabetes_risk_model.training.train import SELECTED
from signed_parameters import ConfigurationError, TrustPolicy, verify_package


@pytest.fixture
def package(bucket):
    policy = TrustPolicy(name="diabetes_risk_model", keys=[bucket.key.verification_key])
    with verify_package(bucket.package, policy) as verified:
        yield verified


def test_the_columns_are_those_that_training_selects():
    assert tuple(column.name for column in SELECTED) == INPUT_COLUMNS


def test_the_engines_agree_on_every_input_that_can_occur(package, trained_model):
    rows = every_input(SELECTED)
    expected = trained_model.pipeline.predict_proba(rows)[:, 1]
    from_pickle = load_engine(package, "pickle").probabilities(rows)
    from_onnx = load_engine(package, "onnx").probabilities(rows)
    assert np.array_equal(from_pickle, expected)
    assert np.abs(from_onnx - expected).max() < 1e-6
    assert np.array_equal(from_onnx > 0.5, expected > 0.5)


@pytest.mark.parametrize("name", ["onnx", "pickle"])
def test_one_row_and_many_give_the_same(package, name):
    engine = load_engine(package, name)
    rows = every_input(SELECTED)[::1000]
    assert [engine.probability(tuple(row)) for row in rows] == engine.probabilities(rows).tolist()


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
