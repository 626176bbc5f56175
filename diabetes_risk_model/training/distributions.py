"""Counts the survey's rows for the training profile, which a drift check compares later batches with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diabetes_risk_model.data.columns import Column
from diabetes_risk_model.drift.training_profile import (
    PROBABILITY,
    RISK,
    Distribution,
    TrainingProfile,
    distribution,
)
from diabetes_risk_model.prediction.batch import THRESHOLD
from diabetes_risk_model.training.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd

_DECILES = np.arange(1, 10) / 10

Floats = NDArray[np.float64]


def training_profile(frame: pd.DataFrame, columns: tuple[Column, ...], probabilities: Any) -> TrainingProfile:
    """Count rows, by code, by bin of a measure, and by what the model says of them.

    Args:
        frame: the rows, with at least these columns; NaN is a missing answer.
        columns: of the model's answers.
        probabilities: of diabetes, one for each row.

    Raises:
        TrainingError: there is no row.
    """
    if frame.empty:
        raise TrainingError("Cannot count a survey without rows; expected at least one.")
    predicted = np.asarray(probabilities, np.float64)
    answers = [_answers(column, frame[column.name].to_numpy(np.float64)) for column in columns]
    positive = int((predicted > THRESHOLD).sum())
    return TrainingProfile(
        rows=len(frame),
        distributions=(
            *answers,
            distribution(RISK, (0.5,), (len(frame) - positive, positive)),
            _counted(PROBABILITY, predicted, _deciles(predicted)),
        ),
    )


def _answers(column: Column, values: Floats) -> Distribution:
    if column.labels:
        cuts = np.array(column.values[1:]) - 0.5
    else:
        # The survey's measures are rounded to whole numbers, those of a batch need not be.
        given = values[~np.isnan(values)]
        cuts = _deciles(given) + 0.5
        cuts = cuts[cuts < given.max(initial=-np.inf)]
    return _counted(column.name, values, cuts)


def _deciles(values: Floats) -> Floats:
    """Return values that divide these into tenths, or into fewer parts where one value is that frequent."""
    if not len(values):
        return np.empty(0)
    cuts: Floats = np.unique(np.quantile(values, _DECILES, method="lower"))
    return cuts if cuts[0] > values.min() else cuts[1:]


def _counted(name: str, values: Floats, cuts: Floats) -> Distribution:
    given = values[~np.isnan(values)]
    bins = np.bincount(np.searchsorted(cuts, given, side="right"), minlength=len(cuts) + 1)
    return distribution(name, cuts.tolist(), bins.tolist(), len(values) - len(given))
