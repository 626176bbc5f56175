import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest

from diabetes_risk_model.training.evaluate import draw
from diabetes_risk_model.training.quiet import pycaret_call
from diabetes_risk_model.training.train import Experiment, compare, create, prepare, tune


@contextmanager
def counted_fits(estimator: Any = GradientBoostingClassifier) -> Iterator[list[int]]:
    """The number of rows of each fit of an estimator inside the block."""
    original, fits = estimator.fit, []

    @wraps(original)  # pycaret looks at the names of the arguments
    def fit(self, x, *args, **kwargs):
        fits.append(len(x))
        return original(self, x, *args, **kwargs)

    with patch.object(estimator, "fit", fit):
        yield fits


@pytest.fixture(scope="module")
def experiment(survey, small) -> Experiment:
    return prepare(survey, small)


@pytest.mark.training
def test_reused_fits_score_as_fresh_ones_and_are_made_once(experiment):
    with pycaret_call(), counted_fits() as fresh:
        experiment.pycaret.create_model("gbc", verbose=False)
        scores = experiment.pycaret.pull()
    assert len(fresh) == 3  # two folds, and all training rows

    with counted_fits() as fits:
        first = create(experiment)
        assert len(fits) == 3
        again = create(experiment)
        compared = compare(experiment)
    assert len(fits) == 3
    assert first.scores.equals(scores)
    assert again.scores.equals(scores)
    assert compared.set_index("Model").loc["Gradient Boosting Classifier", "F1"] == first.mean("F1")


@pytest.mark.training
def test_other_hyperparameters_are_fitted_anew(experiment):
    created = create(experiment)
    with counted_fits() as fits:
        tuned = tune(experiment, created)
    # Each fold once for the one set that is tried, then all training rows.
    assert len(fits) == 3
    assert tuned.parameters != created.parameters


@pytest.mark.training
def test_a_plot_looks_for_no_outliers_again(experiment, tmp_path):
    trained = create(experiment)
    with counted_fits(IsolationForest) as fits:
        for name in ("auc", "feature_importance"):
            draw(experiment, trained, name, tmp_path)
    assert not fits


@pytest.mark.training
def test_the_folder_goes_with_the_experiment(survey, small, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    experiment = prepare(survey, small)
    (folder,) = Path(tmp_path).glob("fitted-steps-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    del experiment
    gc.collect()
    assert not folder.exists()
