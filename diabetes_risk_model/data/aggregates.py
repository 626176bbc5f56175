"""Derives the aggregates of the embedded survey from the real file.

Run as `python -m diabetes_risk_model.data.aggregates PATH`. The same file gives the same aggregates.

The respondents are divided into ten groups: without and with diabetes, by the five levels of general health. Of each
group the aggregates hold how often each answer was given, column by column, and how the columns hang together:
the correlations of a Gaussian copula. They hold no respondent's row. Dividing by general health as well as by diabetes
matters: with one copula for each class, feature selection prefers other columns than it does on the real rows.

The answers are coarse, most of them yes or no, and coarse answers correlate less than what lies behind them.
So the correlations of the answers' normal scores are corrected: with Hermite polynomials, the correlation of two
cut normal variables is a power series in the correlation of the uncut ones (Mehler, 1866), which is inverted here.

Days of poor health have many rare values. Whether 12 days or 13 were given more often with diabetes is chance, but a
draw would repeat that chance and add its own, and a tree would split on it. So rare counts are evened out (`_even`).

Only a fixed two thirds of the rows are used (`split`), so that the rest can tell honestly how faithful the result is.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from diabetes_risk_model.data.columns import GENERAL_HEALTH, TARGET, Column
from diabetes_risk_model.data.csv_file import read_csv
from diabetes_risk_model.data.embedded import AGGREGATES_FILE, GROUPED
from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.data.validation import validate

SPLIT_SEED = 2015
HELD_OUT_PARTS = 3

_DAYS = tuple(column for column in GROUPED if column.name in ("MentalHealth", "PhysicalHealth"))
_RARE = 40
_DECIMALS = 3
_SERIES_TERMS = 60
_STRONGEST_CORRELATION = 0.97
_SMALLEST_EIGENVALUE = 0.02
_HALVINGS = 40

Array = npt.NDArray[np.float64]


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a survey into two thirds to fit on and one third held out, with a fixed seed, class by class.

    Args:
        frame: a valid survey; rows by 22 columns.

    Returns:
        The rows to fit on and the rows held out, both in their former order and with their former index.
    """
    generator = np.random.default_rng(SPLIT_SEED)
    held_out = np.zeros(len(frame), dtype=bool)
    target = frame[TARGET.name].to_numpy()
    for value in TARGET.values:
        rows = np.flatnonzero(target == value)
        held_out[generator.permutation(rows)[: len(rows) // HELD_OUT_PARTS]] = True
    return frame[~held_out], frame[held_out]


def derive(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Derive the aggregates of each group of a survey.

    Args:
        frame: a valid survey; rows by 22 columns. All of its rows are used.

    Returns:
        For each group: its diabetes and general health, the number of respondents, the count of each valid value of
        each other column (rare numbers of days evened out), and the correlations of these columns below the diagonal,
        row by row.

    Raises:
        DataError: if a group has no respondents.
    """
    groups = []
    for diabetes in TARGET.values:
        for health in GENERAL_HEALTH.values:
            rows = frame[(frame[TARGET.name] == diabetes) & (frame[GENERAL_HEALTH.name] == health)]
            if rows.empty:
                raise DataError(
                    f"No row has {TARGET.name} {diabetes} and {GENERAL_HEALTH.name} {health}; expected every "
                    "combination. Use the whole survey: it has 70,692 rows."
                )
            counts = {column.name: _count(rows[column.name], column) for column in GROUPED}
            for column in _DAYS:
                both = _count(frame.loc[frame[GENERAL_HEALTH.name] == health, column.name], column)
                counts[column.name] = _even(counts[column.name], both)
            correlations = copula_correlations(rows)
            groups.append(
                {
                    TARGET.name: diabetes,
                    GENERAL_HEALTH.name: health,
                    "respondents": len(rows),
                    "counts": counts,
                    "correlations": [
                        [round(float(value), _DECIMALS) for value in row[:number]]
                        for number, row in enumerate(correlations)
                    ],
                }
            )
    return groups


def copula_correlations(rows: pd.DataFrame) -> Array:
    """Estimate the correlations of the normal variables that lie behind the answers of one group.

    Args:
        rows: respondents of one group.

    Returns:
        A positive definite matrix of 20 by 20 correlations, in the order of `GROUPED`.
    """
    coefficients = np.empty((len(GROUPED), _SERIES_TERMS))
    standardized = np.empty((len(rows), len(GROUPED)))
    for number, column in enumerate(GROUPED):
        counts = np.array(_count(rows[column.name], column), dtype=np.float64)
        scores, coefficients[number] = _normal_scores(counts[counts > 0])
        by_value = np.zeros(len(counts))
        by_value[counts > 0] = scores
        standardized[:, number] = by_value[rows[column.name].to_numpy() - column.minimum]
    observed = standardized.T @ standardized / len(rows)
    return _nearest_correlations(_uncut(observed, coefficients))


def _count(values: "pd.Series[int]", column: Column) -> list[int]:
    counts: list[int] = np.bincount(values.to_numpy() - column.minimum, minlength=len(column.values)).tolist()
    return counts


def _even(counts: list[int], both: list[int]) -> list[int]:
    """Share out the respondents with rare values as they are shared out with and without diabetes together.

    Args:
        counts: of each value, in the group.
        both: of each value, in the group and in the group of the other class.

    Returns:
        Whole counts with the same sum; those that are not rare are the same.
    """
    own, together = np.array(counts), np.array(both)
    rare = own < _RARE
    if not own[rare].any():
        return counts
    shares = np.cumsum(together[rare]) / together[rare].sum()
    own[rare] = np.diff(np.rint(shares * own[rare].sum()), prepend=0).astype(own.dtype)
    evened: list[int] = own.tolist()
    return evened


def _normal_scores(counts: Array) -> tuple[Array, Array]:
    """Give the values of a column their normal scores, and expand the scores in Hermite polynomials.

    A value's score is the mean of the stretch of the normal distribution that the value takes up; the scores are
    then scaled to variance 1. A column with one value has no variance: its scores and coefficients are 0.
    """
    shares = counts / counts.sum()
    normal = NormalDist()
    cuts = np.array([normal.inv_cdf(share) for share in np.cumsum(shares)[:-1]])
    density = np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    scores = -np.diff(density, prepend=0.0, append=0.0) / shares
    deviation = np.sqrt((shares * scores**2).sum())
    coefficients = np.zeros(_SERIES_TERMS)
    if not len(cuts):
        return scores, coefficients
    scores /= deviation
    before, polynomial = np.zeros_like(cuts), np.ones_like(cuts)
    for order in range(1, _SERIES_TERMS + 1):
        coefficients[order - 1] = (np.diff(scores) * density * polynomial).sum() / np.sqrt(order)
        before, polynomial = polynomial, (cuts * polynomial - np.sqrt(order - 1) * before) / np.sqrt(order)
    return scores, coefficients


def _uncut(observed: Array, coefficients: Array) -> Array:
    """Find the correlations of the uncut variables whose cut ones correlate as observed, by halving all at once."""
    products = coefficients[:, None, :] * coefficients[None, :, :]
    low = np.full(observed.shape, -_STRONGEST_CORRELATION)
    high = -low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        series = np.zeros_like(middle)
        for term in range(_SERIES_TERMS - 1, -1, -1):
            series = (series + products[:, :, term]) * middle
        below = series < observed
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    constant = (products == 0).all(axis=2)
    found: Array = np.where(constant, 0.0, (low + high) / 2)
    np.fill_diagonal(found, 1.0)
    return found


def _nearest_correlations(matrix: Array) -> Array:
    """Raise eigenvalues that are too small, as estimates pair by pair need not fit together."""
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    raised = (vectors * np.maximum(eigenvalues, _SMALLEST_EIGENVALUE)) @ vectors.T
    deviations = np.sqrt(np.diag(raised))
    nearest: Array = raised / np.outer(deviations, deviations)
    return nearest


def document(survey: pd.DataFrame, sha256: str) -> str:
    """Write the aggregates of a survey as readable JSON: a line for each column and each row of correlations.

    Args:
        survey: a valid survey; rows by 22 columns. Only the part that `split` gives to fit on is used.
        sha256: digest of the file that it was read from, in hexadecimal.
    """
    fitted, held_out = split(survey)
    content = {
        "about": [
            "Aggregates of the Diabetes Health Indicators Dataset (BRFSS 2015, CDC; public domain, CC0).",
            "Of each group of respondents: how often each value was given, from the smallest valid value to the "
            "largest, and the correlations of a Gaussian copula, below the diagonal. No respondent's row.",
            "Written by `python -m diabetes_risk_model.data.aggregates PATH`. Do not edit.",
        ],
        "source": {"sha256": sha256, "rows": len(survey)},
        "split": {"seed": SPLIT_SEED, "fitted": len(fitted), "held_out": len(held_out)},
        "columns": [column.name for column in GROUPED],
        "groups": derive(fitted),
    }
    return _indent(content, "") + "\n"


def _indent(value: object, margin: str) -> str:
    """Format as JSON, with each list of numbers on one line."""
    deeper = margin + " "
    if isinstance(value, dict):
        lines = [f"{deeper}{json.dumps(name)}: {_indent(item, deeper)}" for name, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list | str) for item in value):
        return "[\n" + ",\n".join(deeper + _indent(item, deeper) for item in value) + f"\n{margin}]"
    return json.dumps(value, separators=(",", ":"))


def main(arguments: Sequence[str]) -> int:
    """Derive the aggregates from the file that is named, write them into this package and say so."""
    if len(arguments) != 1:
        print("Usage: python -m diabetes_risk_model.data.aggregates PATH", file=sys.stderr)
        return 2
    try:
        raw, sha256 = read_csv(Path(arguments[0]))
        text = document(validate(raw), sha256)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    written = Path(__file__).with_name(AGGREGATES_FILE)
    written.write_text(text, encoding="utf-8")
    print(f"Wrote {written.name}: {len(text):,} bytes, from {len(raw):,} rows with SHA-256 {sha256}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
