"""From answers to the row that the model was trained on: BMI, GeneralHealth, Age, Income; NaN where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, overload

from diabetes_risk_model.prediction.schemas import (
    MAXIMUM_BODY_MASS_INDEX,
    MINIMUM_BODY_MASS_INDEX,
    Age,
    DiabetesRiskModelInput,
    GeneralHealth,
    Income,
)

Row = tuple[float, float, float, float]
# Of many rows: all body mass indices, all codes of general health, and so on.
Columns = tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]

# Members of a StrEnum are found by their plain text too.
_GENERAL_HEALTH: dict[str | None, float] = {None: math.nan, **{m: float(c) for c, m in enumerate(GeneralHealth, 1)}}
_AGE: dict[str | None, float] = {None: math.nan, **{m: float(c) for c, m in enumerate(Age, 1)}}
_INCOME: dict[str | None, float] = {None: math.nan, **{m: float(c) for c, m in enumerate(Income, 1)}}
_FIELDS = frozenset(DiabetesRiskModelInput.model_fields)


class RowsOfColumns(Sequence[dict[str, Any]]):
    """Rows that came by columns, as those of CSV do. One is put together when it is looked at.

    Attributes:
        columns: by their names; each has an answer for every row.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], rows: int) -> None:
        self.columns = columns
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._rows

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """Return a row, or some."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._rows))]
        place = range(self._rows)[index]
        return {name: answers[place] for name, answers in self.columns.items()}


def encode(data: DiabetesRiskModelInput) -> Row:
    """Return the row of validated answers."""
    return (
        math.nan if data.body_mass_index is None else data.body_mass_index,
        _GENERAL_HEALTH[data.general_health],
        _AGE[data.age],
        _INCOME[data.income],
    )


def encode_plain(answers: object) -> Row | None:
    """Return the row of answers as JSON has them, or None where the schema must say whether they fit.

    It knows only answers that fit plainly, which are nearly all of them, and is several times as fast as the schema.
    """
    if type(answers) is not dict or not answers.keys() <= _FIELDS:
        return None
    index = answers.get("body_mass_index")
    if index is None:
        index = math.nan
    elif type(index) not in (float, int) or not MINIMUM_BODY_MASS_INDEX <= index <= MAXIMUM_BODY_MASS_INDEX:
        return None
    try:
        return (
            index,
            _GENERAL_HEALTH[answers.get("general_health")],
            _AGE[answers.get("age")],
            _INCOME[answers.get("income")],
        )
    except (KeyError, TypeError):  # an unknown answer, or one that is not text
        return None


def encode_columns(rows: Sequence[object]) -> Columns | None:
    """Return the columns of many rows, or None unless `encode_plain` knows each of them.

    It looks at the rows a column at a time, which takes a third of the time.
    """
    answers = rows if isinstance(rows, RowsOfColumns) else _by_column(rows)
    if answers is None or not answers.columns.keys() <= _FIELDS:
        return None
    none = [None] * len(rows)
    given, general_health, age, income = (
        answers.columns.get(name, none) for name in DiabetesRiskModelInput.model_fields
    )
    if not set(map(type, given)) <= {float, int, NoneType}:
        return None
    indices = [
        math.nan if value is None else value
        for value in given
        if value is None or MINIMUM_BODY_MASS_INDEX <= value <= MAXIMUM_BODY_MASS_INDEX
    ]
    if len(indices) < len(rows):
        return None
    try:
        return (
            indices,
            [_GENERAL_HEALTH[answer] for answer in general_health],
            [_AGE[answer] for answer in age],
            [_INCOME[answer] for answer in income],
        )
    except (KeyError, TypeError):
        return None


def _by_column(rows: Sequence[object]) -> RowsOfColumns | None:
    if not set(map(type, rows)) <= {dict}:
        return None
    answers: Sequence[dict[str, Any]] = rows  # type: ignore[assignment]
    # Rows of one client name the same fields in the same order, so that there are few ways to do so.
    names = set().union(*set(map(tuple, answers)))
    if not names <= _FIELDS:
        return None
    return RowsOfColumns({name: [row.get(name) for row in answers] for name in names}, len(rows))
