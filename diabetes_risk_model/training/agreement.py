"""Checks that two forms of the same model answer alike, on the survey's rows and on every whole-number input.

Four columns have few values, so that all their combinations can be tried: every whole-number body mass index, every
code of the other three, and each of them missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diabetes_risk_model.data.columns import COLUMNS, Column

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a model says about some rows.

    Attributes:
        labels: shape (rows,), 0 or 1.
        probabilities: shape (rows, 2), of class 0 and of class 1.
    """

    labels: NDArray[np.int64]
    probabilities: Floats


@dataclass(frozen=True)
class Agreement:
    """How far two forms of a model agree.

    Attributes:
        rows: number of rows that both answered.
        different_labels: number of rows with different labels.
        largest_difference: between two probabilities of the same row; infinite if one is not a number.
    """

    rows: int
    different_labels: int
    largest_difference: float

    def within(self, tolerance: float) -> bool:
        """Whether all labels are equal, and all probabilities within `tolerance`."""
        return self.different_labels == 0 and self.largest_difference <= tolerance


def measure(expected: Answers, found: Answers) -> Agreement:
    """Measure how far two models agree about the same rows."""
    difference = np.abs(expected.probabilities - found.probabilities)
    finite = bool(np.isfinite(difference).all())
    largest = float(difference.max(initial=0.0)) if finite else float("inf")
    return Agreement(len(expected.labels), int((expected.labels != found.labels).sum()), largest)


def every_input(columns: tuple[Column, ...]) -> Floats:
    """Return every combination of valid whole numbers, with NaN for "missing" among each column's values.

    Returns:
        Shape (combinations, number of columns), in the order of `columns`.
    """
    values = [np.append(np.arange(column.minimum, column.maximum + 1, dtype=np.float64), np.nan) for column in columns]
    return np.stack([grid.ravel() for grid in np.meshgrid(*values, indexing="ij")], axis=1)


def survey_rows(frame: Any, columns: tuple[Column, ...]) -> Floats:
    """Return the survey's rows, then the same rows again with one column missing, once for each column.

    Returns:
        Shape ((1 + number of columns) * rows, number of columns), in the order of `columns`.
    """
    rows = frame[[column.name for column in columns]].to_numpy(dtype=np.float64)
    copies = [rows]
    for position in range(len(columns)):
        copy = rows.copy()
        copy[:, position] = np.nan
        copies.append(copy)
    return np.concatenate(copies)


def as_survey(rows: Floats, columns: tuple[Column, ...], frame: Any) -> Any:
    """Return a data frame with every feature of the survey: `rows` in `columns`, the others as in `frame`, repeated.

    The trained pipeline wants all 21 features, also those that it does not use.
    """
    import pandas as pd

    features = [column.name for column in COLUMNS[1:]]
    repeated = frame[features].to_numpy(dtype=np.float64)[np.arange(len(rows)) % len(frame)]
    wide = pd.DataFrame(repeated, columns=features)
    wide[[column.name for column in columns]] = rows
    return wide
