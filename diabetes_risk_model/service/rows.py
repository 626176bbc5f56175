"""The rows of a batch, out of a JSON array or CSV. Whether each fits, the model says."""

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO

from pydantic import BaseModel

from diabetes_risk_model.prediction.batch import UnreadableRow
from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.service.answers import CLOSE, RequestRefused
from diabetes_risk_model.service.bodies import bad_body, parse_json

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40


def columns_of(schema: type[BaseModel]) -> dict[str, bool]:
    """Return the names of a schema's fields, each with whether it is a number."""
    properties = schema.model_json_schema()["properties"]
    return {name: _is_number(field) for name, field in properties.items()}


def from_json(body: bytes, most: int) -> Sequence[object]:
    """Return the elements of a JSON array.

    Raises:
        RequestRefused: 400: it is no array. 413: there are more than `most`.
    """
    given = parse_json(body)
    if not isinstance(given, list):
        raise bad_body("The body must be an array of rows.")
    if len(given) > most:
        raise _too_many(most)
    return given


def from_csv(body: bytes, columns: Mapping[str, bool], most: int) -> Sequence[object]:
    """Return the rows of a CSV text, whose first line names the columns. An empty cell is a missing answer.

    Args:
        body: UTF-8, with or without a byte order mark.
        columns: from `columns_of`. Any of them may be there, in any order.
        most: so many rows are allowed.

    Raises:
        RequestRefused: 400: it is not CSV, or its header does not fit. 413: there are more rows.
    """
    try:
        reader = csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, columns)
        given: list[object] = []
        for cells in reader:
            if len(given) == most:
                raise _too_many(most)
            given.append(_row(header, cells, columns))
    except UnicodeDecodeError as error:
        raise bad_body(f"The body is not UTF-8: an error at byte {error.start}.") from None
    except csv.Error:
        raise bad_body(f"The body is not CSV: an error at line {reader.line_num}.") from None
    return given


def _check_header(header: Sequence[str], columns: Mapping[str, bool]) -> None:
    expected = f"The first line must name columns, some of {', '.join(columns)}"
    if not header:
        raise bad_body(f"{expected}; there is none.")
    seen = set()
    for name in header:
        if name not in columns:
            raise bad_body(f"{expected}; '{printable(name)}' is none of them.")
        if name in seen:
            raise bad_body(f"{expected}; {name!r} is in it twice.")
        seen.add(name)


def _row(header: Sequence[str], cells: Sequence[str], columns: Mapping[str, bool]) -> object:
    if len(cells) != len(header):
        return UnreadableRow(f"Expected {len(header)} cells, found {len(cells)}")
    return {name: _number(cell) if columns[name] else cell or None for name, cell in zip(header, cells, strict=True)}


def _number(cell: str) -> object:
    # Python reads more as numbers than others do: blanks, underscores, "nan", digits of other scripts.
    return float(cell) if len(cell) <= _LONGEST_NUMBER and _NUMBER.fullmatch(cell) else cell or None


def _is_number(field: Mapping[str, object]) -> bool:
    kinds = field.get("anyOf", [field])
    assert isinstance(kinds, list)
    return any(kind.get("type") in ("number", "integer") for kind in kinds)


def _too_many(most: int) -> RequestRefused:
    return RequestRefused(413, "TooManyRows", f"There are more than {most:,} rows.", headers=CLOSE)
