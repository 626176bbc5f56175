"""The embedded survey against the real one: a model trained on it must do as well on real rows that neither saw."""

import os

import numpy as np
import pandas as pd
import pytest

from diabetes_risk_model.data.aggregates import document, split
from diabetes_risk_model.data.columns import AGE, BMI, FEATURES, GENERAL_HEALTH, INCOME, TARGET
from diabetes_risk_model.data.embedded import aggregates, draw
from diabetes_risk_model.data.sources import load_survey

SELECTED = [column.name for column in (BMI, GENERAL_HEALTH, AGE, INCOME)]
NAMES = [column.name for column in FEATURES]
TRAINING_ROWS = 47_000
pytestmark = pytest.mark.skipif(
    not os.environ.get("DIABETES_DATA"), reason="needs the real survey: set DIABETES_DATA to the path of its file"
)


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    return load_survey(os.environ["DIABETES_DATA"]).frame


def _auc(train: pd.DataFrame, held_out: pd.DataFrame) -> float:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    model = GradientBoostingClassifier(random_state=42).fit(train[SELECTED], train[TARGET.name])
    return float(roc_auc_score(held_out[TARGET.name], model.predict_proba(held_out[SELECTED])[:, 1]))


@pytest.mark.training
def test_a_model_trained_on_embedded_rows_scores_as_one_trained_on_real_rows(real: pd.DataFrame) -> None:
    train, held_out = split(real)
    on_real = _auc(train, held_out)
    assert on_real > 0.80
    assert _auc(draw(TRAINING_ROWS, seed=42), held_out) == pytest.approx(on_real, abs=0.01)


def test_correlations_are_those_of_real_rows_that_were_held_out(real: pd.DataFrame) -> None:
    held_out = split(real)[1]
    difference = (draw(len(real), seed=42).corr() - held_out.corr()).to_numpy()
    assert np.abs(difference[0]).max() < 0.03
    assert np.abs(difference).max() < 0.05
    assert np.abs(difference).mean() < 0.012


def test_the_shipped_aggregates_are_those_that_the_real_file_gives(real: pd.DataFrame) -> None:
    from importlib import resources

    shipped = resources.files("diabetes_risk_model.data").joinpath("survey_aggregates.json").read_text(encoding="utf-8")
    assert document(real, aggregates()["source"]["sha256"]) == shipped


@pytest.mark.training
@pytest.mark.parametrize("rows", [5_000, 70_692])
def test_feature_selection_chooses_the_same_columns_on_embedded_rows_as_on_real_ones(
    real: pd.DataFrame, rows: int
) -> None:
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import IsolationForest

    def select(frame: pd.DataFrame) -> set[str]:
        features = frame[NAMES].astype(float)
        kept = IsolationForest(contamination=0.05, random_state=42).fit_predict(features) == 1
        scaled = (features[kept] - features[kept].mean()) / features[kept].std()
        model = LGBMClassifier(random_state=42, min_split_gain=1.0, n_jobs=1, verbose=-1)
        model.fit(scaled, frame.loc[kept, TARGET.name])
        return set(pd.Series(model.feature_importances_, NAMES).nlargest(len(SELECTED)).index)

    sample = load_survey(os.environ["DIABETES_DATA"], rows=rows).frame
    assert select(sample) == set(SELECTED)
    assert select(draw(rows, seed=42)) == set(SELECTED)
