"""From a table of a request to rows of the model.

A column is a field of the model. Enumerations are given by the names of their members, or by their codes, which count
from 1: what the model was trained on. Whether a row fits, the model says.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum

from diabetes_risk_model.prediction.batch import Batch
from diabetes_risk_model.prediction.encoding import RowsOfColumns
from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.prediction.schemas import Age, DiabetesRiskModelInput, GeneralHealth, Income

FIELDS = tuple(DiabetesRiskModelInput.model_fields)

_ENUMERATIONS: dict[str, type[StrEnum]] = {"general_health": GeneralHealth, "age": Age, "income": Income}
_MEMBERS = {
    name: {float(code): member.value for code, member in enumerate(kind, 1)} for name, kind in _ENUMERATIONS.items()
}
_MOST_NAMED = 5


class BadTable(ValueError):
    """A table that does not fit the model. The message is for the client who sent it."""


def read_columns(columns: Mapping[str, Sequence[object]]) -> RowsOfColumns:
    """Return the rows of a table that comes by columns.

    Args:
        columns: by the names of the model's fields. None, NaN and an empty text are missing answers.

    Raises:
        BadTable: a name is unknown, there is no column, or they are not of one length.
    """
    _check_names(list(columns))
    lengths = set(map(len, columns.values()))
    if len(lengths) != 1:
        raise BadTable("The columns must have the same number of rows.")
    return RowsOfColumns({name: _answers(name, values) for name, values in columns.items()}, lengths.pop())


def read_matrix(rows: Sequence[Sequence[object]], names: Sequence[str] = ()) -> RowsOfColumns:
    """Return the rows of a table that comes by rows.

    Args:
        rows: each with one value for each name. A number may be a text, as numpy makes it beside texts.
        names: of the columns; the model's fields in their order if there are none.

    Raises:
        BadTable: as for `read_columns`, or a row is not of the length of the names.
    """
    given = list(names) or list(FIELDS)
    _check_names(given)
    if any(not isinstance(row, list | tuple) or len(row) != len(given) for row in rows):
        raise BadTable(f"Every row must have {len(given)} values: {', '.join(given)}.")
    columns = {name: [_number(row[place]) for row in rows] for place, name in enumerate(given)}
    return read_columns(columns)


def describe_errors(batch: Batch) -> str:
    """Return what is wrong with the rows that do not fit, for the client; empty if all do."""
    told = [
        f"Row {error.index}{f', field {error.field!r}' if error.field else ''}: {error.message}."
        for error in batch.errors[:_MOST_NAMED]
    ]
    return " ".join([*told, "There are more."] if len(batch.errors) > _MOST_NAMED else told)


def _check_names(names: Sequence[object]) -> None:
    if wrong := [name for name in names if name not in FIELDS]:
        raise BadTable(
            f"The columns must be some of {', '.join(FIELDS)}; {printable(str(wrong[0]))!r} is none of them."
        )
    if not names or len(set(names)) != len(names):
        raise BadTable("There must be columns, and each must be named once.")


def _answers(name: str, values: Sequence[object]) -> list[object]:
    members = _MEMBERS.get(name, {})
    return [_answer(value, members) for value in values]


def _answer(value: object, members: Mapping[float, str]) -> object:
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if type(value) in (float, int):
        return members.get(value, value)  # type: ignore[call-overload]
    return value


def _number(value: object) -> object:
    """Return the number that a text is, where it is one."""
    if type(value) is not str:
        return value
    try:
        return float(value)
    except ValueError:
        return value
