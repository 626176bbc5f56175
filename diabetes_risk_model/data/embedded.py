"""The embedded survey: draws rows from the aggregates that ship with this package.

Needs no file and no network. The rows are drawn, not real: half of them have diabetes, each column has the
distribution that the aggregates hold, and the columns hang together as the aggregates say (`aggregates` explains how).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from diabetes_risk_model.data.columns import COLUMNS, FEATURES, GENERAL_HEALTH, TARGET
from diabetes_risk_model.data.errors import DataError

AGGREGATES_FILE = "survey_aggregates.json"
GROUPED = tuple(column for column in FEATURES if column is not GENERAL_HEALTH)


@dataclass(frozen=True)
class _Group:
    """Respondents with the same diabetes and general health.

    Attributes:
        diabetes: value of the target.
        health: value of general health.
        respondents: how many the aggregates were derived from.
        factor: lower triangular; times independent normal variables it gives correlated ones. 20 by 20.
        cuts: for each column, the points between which the normal variable means one value of `values`.
        values: for each column, the values that were given, ascending; one more than cuts.
    """

    diabetes: int
    health: int
    respondents: int
    factor: npt.NDArray[np.float64]
    cuts: tuple[npt.NDArray[np.float64], ...]
    values: tuple[npt.NDArray[np.int64], ...]


def aggregates() -> dict[str, Any]:
    """Read the aggregates that ship with this package."""
    text = resources.files("diabetes_risk_model.data").joinpath(AGGREGATES_FILE).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def draw(rows: int, seed: int) -> pd.DataFrame:
    """Draw a survey. The same arguments give the same rows.

    Args:
        rows: how many, at least 2. Half of them have diabetes; of an odd number, the smaller half.
        seed: of the random numbers, 0 or more.

    Returns:
        Rows by 22 columns of int64, with readable names, target first, in random order.

    Raises:
        DataError: if there are too few rows, or if the seed is negative.
    """
    if rows < 2:
        raise DataError(f"Cannot draw {rows} rows; expected at least 2, one without diabetes and one with.")
    if seed < 0:
        raise DataError(f"Cannot draw with seed {seed}; expected 0 or more.")
    generator = np.random.default_rng(seed)
    place = {column.name: number for number, column in enumerate(COLUMNS)}
    drawn = np.empty((rows, len(COLUMNS)), dtype=np.int64)
    start = 0
    for group, count in _divide(rows, generator):
        block = drawn[start : start + count]
        start += count
        block[:, place[TARGET.name]] = group.diabetes
        block[:, place[GENERAL_HEALTH.name]] = group.health
        normal = generator.standard_normal((count, len(GROUPED))) @ group.factor.T
        for number, column in enumerate(GROUPED):
            chosen = np.searchsorted(group.cuts[number], normal[:, number], side="right")
            block[:, place[column.name]] = group.values[number][chosen]
    return pd.DataFrame(drawn[generator.permutation(rows)], columns=list(place))


def _divide(rows: int, generator: np.random.Generator) -> list[tuple[_Group, int]]:
    """Divide the rows among the groups: the classes evenly, general health at random by its shares in the class."""
    divided: list[tuple[_Group, int]] = []
    for diabetes, count in ((0, rows - rows // 2), (1, rows // 2)):
        groups = [group for group in _groups() if group.diabetes == diabetes]
        respondents = np.array([group.respondents for group in groups])
        counts = generator.multinomial(count, respondents / respondents.sum())
        divided.extend(zip(groups, counts.tolist(), strict=True))
    return divided


@cache
def _groups() -> tuple[_Group, ...]:
    return tuple(_prepare(group) for group in aggregates()["groups"])


def _prepare(group: dict[str, Any]) -> _Group:
    lower = np.zeros((len(GROUPED), len(GROUPED)))
    for number, row in enumerate(group["correlations"]):
        lower[number, :number] = row
    normal = NormalDist()
    cuts, values = [], []
    for column in GROUPED:
        counts = np.array(group["counts"][column.name])
        given = np.flatnonzero(counts)
        shares = np.cumsum(counts[given])[:-1] / counts.sum()
        cuts.append(np.array([normal.inv_cdf(share) for share in shares]))
        values.append(given + column.minimum)
    return _Group(
        diabetes=group[TARGET.name],
        health=group[GENERAL_HEALTH.name],
        respondents=group["respondents"],
        factor=np.linalg.cholesky(lower + lower.T + np.eye(len(GROUPED))),
        cuts=tuple(cuts),
        values=tuple(values),
    )
