"""From the tensors of a request to rows of the model.

Either each field of the model is a tensor, enumerations by the names of their members; or all are one matrix, in the
order of the fields, enumerations by their codes, which count from 1: what the model was trained on. Whether a row
fits, the model says.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from diabetes_risk_model.prediction.encoding import RowsOfColumns
from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.service.answers import RequestRefused
from diabetes_risk_model.service.bodies import bad_body
from diabetes_risk_model.service.inference.binary import read_numbers, read_texts, round_numbers
from diabetes_risk_model.service.inference.schemas import RequestInput
from diabetes_risk_model.service.rows import too_many

MATRIX = "input"


@dataclass(frozen=True)
class Column:
    """A field of the model.

    Attributes:
        name: of the field.
        codes: code -> member of an enumeration; empty where the field is a number.
    """

    name: str
    codes: Mapping[float, str]


def columns_of(schema: type[BaseModel]) -> tuple[Column, ...]:
    """Return the fields of a schema, in their order."""
    return tuple(Column(name, _codes(field.annotation)) for name, field in schema.model_fields.items())


def read_rows(inputs: Sequence[RequestInput], binary: bytes, columns: Sequence[Column], most: int) -> Sequence[object]:
    """Return the rows that a request's tensors hold.

    Args:
        inputs: the tensors.
        binary: the data that come after the JSON.
        columns: from `columns_of`.
        most: so many rows are allowed.

    Raises:
        RequestRefused: 400: the tensors do not fit the model, each other, or their data. 413: there are more rows.
    """
    known = {column.name: column for column in columns}
    _check_names([tensor.name for tensor in inputs], known)
    parts = _binary_parts(inputs, binary)
    tensors: dict[str, Sequence[Any]] = {
        tensor.name: _elements(tensor, part, known.get(tensor.name), len(columns), most)
        for tensor, part in zip(inputs, parts, strict=True)
    }
    if MATRIX in tensors:
        given = tensors.pop(MATRIX)
        for place, column in enumerate(columns):
            tensors[column.name] = _members(given[place :: len(columns)], column)
    numbers = {len(values) for values in tensors.values()}
    if len(numbers) > 1:
        raise bad_body("The inputs must have the same number of rows.")
    return RowsOfColumns(tensors, numbers.pop())


def _codes(annotation: object) -> dict[float, str]:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {float(code): str(member.value) for code, member in enumerate(kind, 1)}
    return {}


def _check_names(names: Sequence[str], known: Mapping[str, Column]) -> None:
    for name in names:
        if name not in known and name != MATRIX:
            expected = f"some of {', '.join(known)}, or '{MATRIX}' alone"
            raise bad_body(f"The inputs must be {expected}; '{printable(name)}' is none of them.")
    if len(set(names)) != len(names):
        raise bad_body("An input is named twice.")
    if MATRIX in names and len(names) > 1:
        raise bad_body(f"The input '{MATRIX}' holds all fields, so it must be the only one.")


def _binary_parts(inputs: Sequence[RequestInput], binary: bytes) -> list[bytes | None]:
    parts: list[bytes | None] = []
    position = 0
    for tensor in inputs:
        _check_parameters(tensor)
        size = None if tensor.parameters is None else tensor.parameters.binary_data_size
        if (size is None) == (tensor.data is None):
            raise bad_body(f"Input '{tensor.name}': it must have either data or the parameter binary_data_size.")
        parts.append(None if size is None else binary[position : position + size])
        position += size or 0
    if position != len(binary):
        raise bad_body(
            f"By binary_data_size, {position} bytes of data come after the JSON. By the header "
            f"Inference-Header-Content-Length they are {len(binary)}."
        )
    return parts


def _check_parameters(tensor: RequestInput) -> None:
    extra = (tensor.parameters.model_extra if tensor.parameters is not None else None) or {}
    if any(name.startswith("shared_memory_") for name in extra):
        raise bad_body(f"Input '{tensor.name}': shared memory is not supported.")


def _elements(tensor: RequestInput, part: bytes | None, column: Column | None, width: int, most: int) -> list[Any]:
    """Return the elements of a tensor, row by row; None for a missing answer. Without a column it is the matrix."""
    shape = f"[n, {width}]" if column is None else "[n] or [n, 1]"
    if tensor.shape[1:] not in ([[width]] if column is None else [[], [1]]):
        raise bad_body(f"Input '{tensor.name}': its shape must be {shape}.")
    text = column is not None and bool(column.codes)
    if (tensor.datatype == "BYTES") != text:
        expected = "BYTES, which are names" if text else "FP64 or FP32"
        raise bad_body(f"Input '{tensor.name}': its datatype must be {expected}.")
    if tensor.shape[0] > most:
        raise too_many(most)
    number = math.prod(tensor.shape)
    if part is not None:
        given: list[Any] = (
            read_texts(tensor.name, part, number) if text else read_numbers(tensor.name, part, tensor.datatype, number)
        )
    else:
        given = _flat(tensor, number)
        if text:
            _check_texts(tensor.name, given)
        else:
            given = _numbers(tensor.name, given, tensor.datatype)
    if text:
        return [element or None for element in given]
    return [None if element != element else element for element in given]


def _flat(tensor: RequestInput, number: int) -> list[Any]:
    data = tensor.data or []
    if len(tensor.shape) == 2 and data and isinstance(data[0], list):
        if any(not isinstance(row, list) or len(row) != tensor.shape[1] for row in data):
            raise bad_body(f"Input '{tensor.name}': each row of its data must have {tensor.shape[1]} elements.")
        data = [element for row in data for element in row]
    if len(data) != number:
        raise bad_body(f"Input '{tensor.name}': its shape says {number} elements, its data have {len(data)}.")
    return data


def _check_texts(name: str, elements: Sequence[object]) -> None:
    if not set(map(type, elements)) <= {str, NoneType}:
        raise bad_body(f"Input '{name}': its elements must be text or null.")


def _numbers(name: str, elements: Sequence[Any], datatype: str) -> list[float]:
    if not set(map(type, elements)) <= {float, int, NoneType}:
        raise bad_body(f"Input '{name}': its elements must be numbers or null.")
    try:
        return round_numbers((math.nan if element is None else element for element in elements), datatype)
    except OverflowError:  # a whole number has no bound of its own
        raise bad_body(f"Input '{name}': a number of it is too large for {datatype}.") from None


def _members(values: Sequence[Any], column: Column) -> Sequence[Any]:
    """Return the members of an enumeration that codes stand for. Numbers stay as they are."""
    if not column.codes:
        return values
    members: dict[Any, str | None] = {None: None, **column.codes}
    unknown = set(values) - members.keys()
    if unknown:
        row = next(row for row, value in enumerate(values) if value in unknown)
        raise bad_body(f"Row {row}, counted from 0: '{column.name}' must be a code from 1 to {len(column.codes)}.")
    return [members[value] for value in values]


def refuse_rows(errors: Sequence[Any]) -> RequestRefused:
    """Return the refusal of rows that do not fit. The protocol has no place for them beside answers.

    Args:
        errors: each a `RowError`.
    """
    shown = 10
    messages = [
        f"Row {error.index}{'' if error.field is None else f', field {error.field!r}'}: {error.message}."
        for error in errors[:shown]
    ]
    if len(errors) > shown:
        messages.append(f"There are {len(errors) - shown} more problems.")
    return bad_body("Rows are counted from 0.", *messages)
