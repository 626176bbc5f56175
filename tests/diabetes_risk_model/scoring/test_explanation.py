"""Contributions are exact, or there are none."""

import json
import math
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.scoring.columns import find_forms
from diabetes_risk_model.scoring.explanation import explain
from diabetes_risk_model.scoring.lookup import Lookup
from diabetes_risk_model.scoring.model import load_model
from signed_parameters import ConfigurationError

NAMES = ("BMI", "GenHlth", "Age", "Income")


def test_contributions_add_up_to_every_answer_of_the_table(table: Table, trained_model: Any) -> None:
    explanation = explain(table, trained_model.pipeline)
    total = explanation.base + explanation.contributions.sum(axis=1)
    assert explanation.contributions.shape == (len(table.cells), 4)
    np.testing.assert_allclose(total, [math.log(cell / (1 - cell)) for cell in table.cells], atol=1e-6)


def test_the_explanation_of_another_model_is_refused(table: Table, trained_model: Any) -> None:
    other = Table(table.axes, array("d", [1 - cell for cell in table.cells]))
    with pytest.raises(ConfigurationError, match="miss the probabilities"):
        explain(other, trained_model.pipeline)


def test_a_model_without_log_odds_is_refused(table: Table, trained_model: Any) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    rows = np.random.default_rng(1).random((50, 4))
    classifier = LogisticRegression().fit(rows, rows[:, 0] > 0.5)
    with pytest.raises(ConfigurationError, match="cannot be explained"):
        explain(table, Pipeline([*trained_model.pipeline.steps[:-1], ("classifier", classifier)]))


def test_a_package_without_the_pickle_cannot_be_explained(make_bucket: Any, trained_model: Any, tmp_path: Path) -> None:
    files = {name: path for name, path in trained_model.files.items() if name != "model.pkl"}
    settings = make_bucket(files=files).settings()
    assert json.loads(json.dumps(load_model(settings, explained=False).metadata))["serial"] == "1"
    with pytest.raises(ConfigurationError, match=r"which the package does not hold\. Leave --explain away"):
        load_model(settings, explained=True)


_answer = (st.none() | st.floats(10, 100), *(st.none() | st.integers(1, most) for most in (5, 13, 8)))


@pytest.fixture(scope="module")
def explained(table: Table, trained_model: Any) -> Any:
    return explain(table, trained_model.pipeline)


@given(rows=st.lists(st.tuples(*_answer), min_size=1, max_size=30))
def test_base_and_contributions_are_the_log_odds_of_the_model_s_own_probability(
    table: Table, trained_model: Any, explained: Any, rows: list[tuple[float | None, ...]]
) -> None:
    columns = {
        name: pa.array(column, pa.float64()) for name, column in zip(NAMES, zip(*rows, strict=True), strict=True)
    }
    located = Lookup(table, find_forms(NAMES, "")).locate(columns)
    assert located.wrong is None
    numbers = np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64)
    probabilities = trained_model.pipeline.predict_proba(numbers)[:, 1]
    total = explained.base + explained.contributions[located.places].sum(axis=1)
    np.testing.assert_allclose(total, np.log(probabilities / (1 - probabilities)), atol=1e-6)
