"""CSV by its lines: a row is a line, so that a file can be divided anywhere, and each row has one number.

A line belongs to the part of the file that it begins in. pyarrow reads whole blocks; where it does not find exactly one
row in each line, the lines of the block are read one by one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.scoring.inputs import DataFile

_LONGEST_LINE = 1 << 17  # the longest field that the library csv reads
_BLOCK_BYTES = 4 << 20
_SAMPLE_BYTES = 1 << 16
_NEWLINE = ord("\n")
# Quotation marks that surround whole fields and have none within them: every reader takes them in the same way.
_PLAIN_QUOTES = re.compile(rb'(?:[^"]++|(?<=[,\n])"[^"\n]*+"(?=[,\r\n]))*+')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Header:
    """The first line of a file.

    Attributes:
        columns: names.
        size: of the line, in bytes: where the first row begins.
        row_bytes: mean length of the first rows.
    """

    columns: tuple[str, ...]
    size: int
    row_bytes: float


@dataclass(frozen=True)
class Block:
    """Some rows.

    Attributes:
        rows: how many.
        columns: by their names.
        broken: what is wrong with lines that are no rows, by their numbers in the block.
    """

    rows: int
    columns: dict[str, pa.Array]
    broken: dict[int, str]


def read_header(file: DataFile) -> Header:
    """Read the first line.

    Raises:
        DataError: there is none, it is too long, no UTF-8, or names a column twice.
    """
    start = file.storage.read_range(file.name, 0, _LONGEST_LINE)
    line, newline, _ = start.partition(b"\n")
    if not newline and len(start) == _LONGEST_LINE:
        raise _unusable(file, f"begins with a line of more than {_LONGEST_LINE:,} bytes", "a header")
    try:
        columns = next(csv.reader([line.removeprefix(_BYTE_ORDER_MARK).decode().rstrip("\r")], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        raise _unusable(
            file, "has a first line that is no header", "names with commas between them, in UTF-8"
        ) from None
    if not any(columns) or len(set(columns)) < len(columns):
        raise _unusable(file, "names no column, or one twice, in its first line", "a header")
    size = len(line) + len(newline)
    sample = start[size : size + _SAMPLE_BYTES]
    return Header(tuple(columns), size, len(sample) / max(1, sample.count(b"\n")))


def count_lines(file: DataFile, start: int, stop: int) -> int:
    """Return how many lines begin from `start`, which is no less than the header's size, to before `stop`."""
    count = 0
    for position in range(start - 1, stop - 1, _BLOCK_BYTES):
        data = file.storage.read_range(file.name, position, min(position + _BLOCK_BYTES, stop - 1))
        count += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _NEWLINE))
    return count


def read_blocks(file: DataFile, header: Sequence[str], wanted: Sequence[str], start: int, stop: int) -> Iterator[Block]:
    """Yield the rows whose lines begin from `start` to before `stop`.

    Args:
        file: to be read.
        header: names of its columns.
        wanted: of these, the columns to return, as texts; empty texts are null.
        start: no less than the header's size.
        stop: no more than the file's size.

    Raises:
        DataError: a line is too long.
    """
    position, end = _line_from(file, start), _line_from(file, stop)
    while position < end:
        data = file.storage.read_range(file.name, position, min(position + _BLOCK_BYTES, end))
        if position + len(data) < end:
            data = data[: data.rfind(b"\n") + 1]
            if not data:
                raise _unusable(file, f"has a line of more than {_LONGEST_LINE:,} bytes", "shorter lines")
        position += len(data)
        newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
        if np.diff(newlines, prepend=-1, append=len(data)).max() > _LONGEST_LINE:
            raise _unusable(file, f"has a line of more than {_LONGEST_LINE:,} bytes", "shorter lines")
        yield _read(data, len(newlines) + (not data.endswith(b"\n")), header, wanted)


def _line_from(file: DataFile, position: int) -> int:
    """Return where the first line begins that begins at a position or behind it; the file's size if there is none."""
    for before in range(position - 1, min(position - 1 + _LONGEST_LINE, file.size), _SAMPLE_BYTES):
        found = file.storage.read_range(file.name, before, before + _SAMPLE_BYTES).find(b"\n")
        if found >= 0:
            return before + found + 1
    if position - 1 + _LONGEST_LINE >= file.size:
        return file.size
    raise _unusable(file, f"has a line of more than {_LONGEST_LINE:,} bytes", "shorter lines")


def _read(data: bytes, rows: int, header: Sequence[str], wanted: Sequence[str]) -> Block:
    if _is_plain(data):
        try:
            table = pc.read_csv(
                pa.BufferReader(data),
                read_options=pc.ReadOptions(column_names=list(header), use_threads=False, block_size=_BLOCK_BYTES),
                parse_options=pc.ParseOptions(ignore_empty_lines=False),
                convert_options=pc.ConvertOptions(
                    check_utf8=False,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=list(wanted),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid:  # a line has too few or too many fields
            pass
        else:
            if len(table) == rows:
                return Block(rows, {name: _whole(table[name]) for name in wanted}, {})
    return _read_lines(data, rows, header, wanted)


def _is_plain(data: bytes) -> bool:
    # To pyarrow a carriage return alone ends a line, and an empty line is sometimes a row.
    if data.count(b"\r") != data.count(b"\r\n") or data.startswith((b"\n", b"\r\n")):
        return False
    if b"\n\n" in data or b"\n\r\n" in data:
        return False
    return b'"' not in data or _PLAIN_QUOTES.fullmatch(b"\n" + data + b"\n") is not None


def _read_lines(data: bytes, rows: int, header: Sequence[str], wanted: Sequence[str]) -> Block:
    places = [header.index(name) for name in wanted]
    values: list[list[str | None]] = [[] for _ in wanted]
    broken = {}
    for number, line in enumerate(data.decode(errors="replace").split("\n")[:rows]):
        try:
            fields = next(csv.reader([line.removesuffix("\r")], strict=True), [])
        except csv.Error as error:
            fields, broken[number] = [], f"expected fields with commas between them; found: {error}"
        if len(fields) != len(header):
            broken.setdefault(number, f"expected {len(header)} fields; found {len(fields)}")
            fields = [""] * len(header)
        for column, place in zip(values, places, strict=True):
            column.append(fields[place] or None)
    arrays = {name: pa.array(column, pa.string()) for name, column in zip(wanted, values, strict=True)}
    return Block(rows, arrays, broken)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _unusable(file: DataFile, problem: str, expected: str) -> DataError:
    return DataError(f"{file.address} {problem}: expected {expected}. Correct the file, or leave it out.")
