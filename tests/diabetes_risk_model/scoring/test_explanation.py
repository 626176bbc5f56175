"""Contributions are exact, or there are none."""

import json
import math
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.scoring.explanation import explain
from diabetes_risk_model.scoring.model import load_model
from signed_parameters import ConfigurationError


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
