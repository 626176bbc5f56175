"""The rows of a batch, out of a JSON array or CSV. Whether each fits, the model says."""

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import islice

from pydantic import BaseModel
from pydantic_core import from_json as from_json_text

from diabetes_risk_model.prediction.batch import UnreadableRow
from diabetes_risk_model.prediction.encoding import RowsOfColumns
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
    given = _plain_json(body)
    if given is None:
        given = parse_json(body)
    if not isinstance(given, list):
        raise bad_body("The body must be an array of rows.")
    if len(given) > most:
        raise too_many(most)
    return given


def _plain_json(body: bytes) -> object | None:
    """Return the objects of a JSON array, or None where `parse_json` must say what the body is.

    pydantic's parser takes a third of the time. What it accepts, `parse_json` reads alike, except that it drops a field
    that comes twice. But each field of an object has a colon. So if there are as many colons as fields that were read,
    none was dropped, and no colon is anywhere else.
    """
    try:
        given = from_json_text(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return None
    if type(given) is not list or not set(map(type, given)) <= {dict}:
        return None
    return given if body.count(b":") == sum(map(len, given)) else None


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
        # One long list, because the garbage collector looks at each of many short ones.
        cells: list[str] = []
        lengths: list[int] = []
        for line in islice(reader, most + 1):
            cells += line
            lengths.append(len(line))
    except UnicodeDecodeError as error:
        raise bad_body(f"The body is not UTF-8: an error at byte {error.start}.") from None
    except csv.Error:
        raise bad_body(f"The body is not CSV: an error at line {reader.line_num}.") from None
    if len(lengths) > most:
        raise too_many(most)
    width = len(header)
    if set(lengths) <= {width}:
        read = {name: _column(cells[place::width], columns[name]) for place, name in enumerate(header)}
        return RowsOfColumns(read, len(lengths))
    remaining = iter(cells)
    return [_row(header, list(islice(remaining, length)), columns) for length in lengths]


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
    return {name: _value(cell, columns[name]) for name, cell in zip(header, cells, strict=True)}


def _column(cells: Sequence[str], is_number: bool) -> list[object]:
    known = {cell: _value(cell, is_number) for cell in set(cells)}
    return [known[cell] for cell in cells]


def _value(cell: str, is_number: bool) -> object:
    return _number(cell) if is_number else cell or None


def _number(cell: str) -> object:
    # Python reads more as numbers than others do: blanks, underscores, "nan", digits of other scripts.
    return float(cell) if len(cell) <= _LONGEST_NUMBER and _NUMBER.fullmatch(cell) else cell or None


def _is_number(field: Mapping[str, object]) -> bool:
    kinds = field.get("anyOf", [field])
    assert isinstance(kinds, list)
    return any(kind.get("type") in ("number", "integer") for kind in kinds)


def too_many(most: int) -> RequestRefused:
    """Return the refusal of more rows than `most`."""
    return RequestRefused(413, "TooManyRows", f"There are more than {most:,} rows.", headers=CLOSE)
