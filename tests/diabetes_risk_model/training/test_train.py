import math
import os
import warnings
from dataclasses import replace

import pandas as pd
import pytest
from joblib.memory import MemorizedFunc
from pycaret.internal.memory import FastMemorizedFunc

from diabetes_risk_model.data.sources import Survey, load_survey
from diabetes_risk_model.training.errors import SelectionError, TrainingError
from diabetes_risk_model.training.profiles import QUICK
from diabetes_risk_model.training.train import check_selection, create, prepare


def survey_of(frame: pd.DataFrame) -> Survey:
    return Survey(frame, "file", "a test")


def test_the_columns_of_the_service_are_accepted():
    check_selection(("BMI", "GeneralHealth", "Age", "Income"))


@pytest.mark.parametrize(
    "names", [("BMI", "PhysicalHealth", "Age", "Income"), ("GeneralHealth", "BMI", "Age", "Income"), ()]
)
def test_other_columns_are_refused_with_both_lists(names):
    with pytest.raises(SelectionError, match="expected BMI, GeneralHealth, Age, Income") as caught:
        check_selection(names)
    assert ", ".join(names) in str(caught.value)


def test_too_few_rows_are_refused(frame):
    with pytest.raises(TrainingError, match="rows of its rarer class; expected at least 30 for 3 folds"):
        prepare(survey_of(frame.head(40)))


def test_one_class_is_refused(frame):
    with pytest.raises(TrainingError, match="has 0 rows of its rarer class"):
        prepare(survey_of(frame.assign(Diabetes=1)))


@pytest.mark.training
def test_rows_without_a_signal_are_refused_by_their_columns(frame):
    """Uniform rows carry no general health: another column is selected, and training says so."""
    noise = pd.concat([frame] * 3, ignore_index=True).assign(Diabetes=lambda rows: rows["Sex"])
    with pytest.raises(SelectionError, match="Sex"):
        prepare(survey_of(noise), replace(QUICK, folds=2))


@pytest.mark.full
@pytest.mark.skipif("DIABETES_DATA" not in os.environ, reason="DIABETES_DATA does not name the real survey")
def test_gradient_boosting_on_the_real_survey_reaches_its_scores():
    experiment = prepare(load_survey(os.environ["DIABETES_DATA"]), "full")
    assert (experiment.rows, experiment.train_rows, experiment.test_rows) == (70_692, 47_009, 21_208)
    created = create(experiment)
    assert len(created.scores) == 12
    assert created.mean("AUC") >= 0.80
    assert created.mean("F1") >= 0.74
    assert {metric: round(created.mean(metric), 3) for metric in ("Accuracy", "AUC", "F1")} == {
        "Accuracy": 0.732,
        "AUC": 0.807,
        "F1": 0.746,
    }


@pytest.mark.training
def test_a_slow_disk_brings_no_warnings(survey, small, monkeypatch):
    """joblib gives one where keeping a result takes long. Here any time is long, wherever warnings are not silenced."""
    least = property(lambda function: math.inf if warnings.filters[0][0] == "ignore" else -1.0, lambda *given: None)
    monkeypatch.setattr(FastMemorizedFunc, "min_time_to_cache", least, raising=False)
    monkeypatch.setattr(MemorizedFunc._persist_input, "__defaults__", (-1.0,))
    assert prepare(survey, small).test_rows > 0
