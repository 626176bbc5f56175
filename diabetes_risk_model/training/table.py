"""Writes the reduced pipeline down as a table of all its answers, and proves that it is the same model.

A tree sends a row left where a column, scaled and rounded to single precision, is at most a threshold. Scaling and
rounding never change the order of two numbers. So there is one double on either side of which the decision differs: the
cut. It is found by halving the range of doubles, and asking the pipeline's own steps each time; arithmetic could miss
it by a bit. Between two cuts no tree can tell two values apart, so the answer at both ends of a cell is the answer
within it, and asking the pipeline at every end of every cell covers every input that there is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diabetes_risk_model.data.columns import Column
from diabetes_risk_model.prediction.batch import THRESHOLD
from diabetes_risk_model.prediction.table import MOST_CELLS, Axis, Table, TableEngine, count_cells
from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.agreement import Agreement, Answers, Floats
from diabetes_risk_model.training.errors import ExportError, TableError
from diabetes_risk_model.training.reduce import Reduced, answers

_WIDEST = 1e30  # beyond it scikit-learn refuses a value, as single precision ends at 3e38
_STEPS = ("SimpleImputer", "StandardScaler")
_CLASSIFIERS = (
    "GradientBoostingClassifier",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "DecisionTreeClassifier",
)


@dataclass(frozen=True)
class Tabulated:
    """A table, and the proof that it answers like the reduced pipeline.

    Attributes:
        content: the file.
        cells: how many the table has.
        agreement: with the reduced pipeline.
    """

    content: bytes
    cells: int
    agreement: Agreement


def tabulate(reduced: Reduced, frame: Any) -> Tabulated:
    """Write a reduced pipeline as a table, and check it at all ends of all cells and on every row of the survey.

    Args:
        reduced: from `reduce_pipeline`.
        frame: the survey's rows, all of them; a data frame with readable column names.

    Raises:
        TableError: the model is none that a table can hold, or has too many cells.
        ExportError: an answer differs, be it in the last bit.
    """
    table = build_table(reduced.pipeline, reduced.columns)
    content = table.to_bytes()
    read = Table.from_bytes(content, [column.name for column in reduced.columns])
    survey = [agreement.survey_rows(frame, reduced.columns), agreement.every_input(reduced.columns)]
    found = check(read, reduced.pipeline, np.concatenate([*survey, ends_of_cells(read.axes)]))
    return Tabulated(content, count_cells(table.axes), found)


def build_table(pipeline: Any, columns: tuple[Column, ...]) -> Table:
    """Ask a pipeline for the answer to each cell.

    Args:
        pipeline: fitted; imputer, scaler, and one tree of scikit-learn or an ensemble of them.
        columns: in the order of the pipeline's input.

    Raises:
        TableError: the pipeline has other steps, or the table would have more than `MOST_CELLS` cells.
    """
    axes = read_axes(pipeline, columns)
    number = count_cells(axes)
    if number > MOST_CELLS:
        raise TableError(f"The table would have {number:,} cells; expected at most {MOST_CELLS:,}.")
    rows = _every(_lowest(axis) for axis in axes)
    return Table(axes, array("d", answers(pipeline, rows).probabilities[:, 1].tolist()))


def check(table: Table, pipeline: Any, rows: Floats) -> Agreement:
    """Compare a table with the pipeline that it was made from.

    Args:
        table: as it was read from its file.
        pipeline: the scikit-learn pipeline.
        rows: shape (rows, columns), NaN where a value is missing.

    Raises:
        ExportError: an answer differs, be it in the last bit.
    """
    expected = answers(pipeline, rows)
    found = agreement.measure(Answers(expected.labels, expected.probabilities[:, 1:]), table_answers(table, rows))
    if not found.within(0.0):
        raise ExportError(
            f"The table answers differently: {found.different_labels:,} of {found.rows:,} labels differ, and "
            f"probabilities by up to {found.largest_difference:.3g}; expected none, and 0. "
            "Has the version of scikit-learn changed? Train with the versions of the lock file."
        )
    return found


def table_answers(table: Table, rows: Floats) -> Answers:
    """Ask a table for labels and probabilities, by the engine that serves it.

    Args:
        table: of four columns.
        rows: shape (rows, 4), NaN where a value is missing.

    Returns:
        The labels, and the probabilities of class 1 only, shape (rows, 1).
    """
    one, two, three, four = (column.tolist() for column in rows.T)
    ones = np.array(TableEngine(table).probabilities((one, two, three, four)))
    return Answers((ones > THRESHOLD).astype(np.int64), ones[:, np.newaxis])


def read_axes(pipeline: Any, columns: tuple[Column, ...]) -> tuple[Axis, ...]:
    """Find where a pipeline's trees cut each column.

    Raises:
        TableError: the pipeline has other steps than imputer, scaler and trees.
    """
    *preparing, classifier = pipeline.named_steps.values()
    found = tuple(type(step).__name__ for step in preparing)
    if found != _STEPS:
        raise TableError(f"The pipeline prepares rows by {', '.join(found)}; expected {', '.join(_STEPS)}.")
    thresholds = _thresholds(classifier, len(columns))
    missing = preparing[0].statistics_.tolist()
    return tuple(
        Axis(column.name, _cuts(pipeline[:-1], position, thresholds[position]), missing[position])
        for position, column in enumerate(columns)
    )


def ends_of_cells(axes: tuple[Axis, ...]) -> Floats:
    """Return the highest value of every cell, and a missing one, in every combination; then the same of the lowest.

    Returns:
        Shape (combinations, columns).
    """
    sides = [[np.append(side(axis), np.nan) for axis in axes] for side in (_highest, _lowest)]
    return np.concatenate([_every(values) for values in sides])


def _thresholds(classifier: Any, width: int) -> list[Floats]:
    """Read which thresholds each column is compared with, scaled, ascending."""
    kind = type(classifier).__name__
    if kind not in _CLASSIFIERS:
        raise TableError(f"The splits of a {kind} cannot be read; expected one of {', '.join(_CLASSIFIERS)}.")
    if getattr(classifier, "init", None) not in (None, "zero"):
        raise TableError(f"The {kind} starts from another model's answers; expected init=None or init='zero'.")
    if classifier.classes_.tolist() != [0, 1]:
        raise TableError(f"The {kind} tells {len(classifier.classes_)} classes apart; expected the classes 0 and 1.")
    trees = np.ravel(getattr(classifier, "estimators_", classifier)).tolist()
    features = np.concatenate([tree.tree_.feature for tree in trees])
    values = np.concatenate([tree.tree_.threshold for tree in trees])
    return [np.unique(values[features == position]) for position in range(width)]


def _cuts(preparation: Any, position: int, thresholds: Floats) -> tuple[float, ...]:
    """Find the smallest doubles that lie above the thresholds once they are prepared."""
    low = np.full(len(thresholds), _to_order(-_WIDEST))
    high = np.full(len(thresholds), _to_order(_WIDEST))
    while (low + 1 < high).any():
        middle = low // 2 + high // 2 + (low & high & 1)  # their sum can be too large for 64 bits
        above = _prepared(preparation, position, _from_order(middle)) > thresholds
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return tuple(np.unique(_from_order(high)).tolist())


def _prepared(preparation: Any, position: int, values: Floats) -> Floats:
    """Return what the trees see of a column's values. What the other columns hold makes no difference."""
    rows = np.zeros((len(values), preparation.n_features_in_))
    rows[:, position] = values
    scaled: Floats = preparation.transform(rows)[:, position].astype(np.float32).astype(np.float64)
    return scaled


def _to_order(value: float) -> np.int64:
    """Return the place of a double among all doubles, by which neighbours are one apart."""
    bits = np.float64(value).view(np.int64)
    return bits if bits >= 0 else np.int64(np.iinfo(np.int64).min) - bits


def _from_order(places: NDArray[np.int64]) -> Floats:
    return np.where(places >= 0, places, np.iinfo(np.int64).min - places).view(np.float64)


def _lowest(axis: Axis) -> Floats:
    """Return the lowest value of each cell; of the first, which has none, a value below all that can occur."""
    return np.array([-_WIDEST, *axis.cuts])


def _highest(axis: Axis) -> Floats:
    return np.append(np.nextafter(axis.cuts, -np.inf), _WIDEST)


def _every(values: Iterable[Floats]) -> Floats:
    """Return every combination, the last column's value changing fastest; shape (combinations, columns)."""
    return np.stack([grid.ravel() for grid in np.meshgrid(*values, indexing="ij")], axis=1)
