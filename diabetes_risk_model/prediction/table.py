"""The model as a table: `model.table`, a file of numbers, and the engine that looks answers up in it.

A tree asks whether a value lies below a threshold, and nothing else. So an ensemble of trees divides each column at
finitely many cuts, and between two cuts its answer is always the same. The table holds all those answers.

The file is one line of JSON, which says where each column is cut and what stands for a missing value, and then the
probabilities: 64-bit floats, little-endian, the last column's cell changing fastest. It holds no code, and what reads
it needs no library.
"""

from __future__ import annotations

import json
import math
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from typing import TYPE_CHECKING

from signed_parameters import MalformedPackage

if TYPE_CHECKING:
    from diabetes_risk_model.prediction.encoding import Columns, Row

FILE = "model.table"
MOST_CELLS = 4_000_000

_FORMAT = "diabetes_risk_model.table.v1"
_LONGEST_HEADER = 1 << 20
_FLOAT_BYTES = 8
_REMEDY = "Train and package the model again."


@dataclass(frozen=True)
class Axis:
    """A column of the table's input.

    Attributes:
        column: its name.
        cuts: ascending. Cell number k holds the values from cuts[k - 1] on to below cuts[k].
        missing: the value that stands for a missing one.
    """

    column: str
    cuts: tuple[float, ...]
    missing: float

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cuts) + 1

    def cell(self, value: float) -> int:
        """Return the number of the cell that a value falls into; NaN is a missing value."""
        return bisect_right(self.cuts, self.missing if value != value else value)


@dataclass(frozen=True)
class Table:
    """Every answer that the model can give.

    Attributes:
        axes: of the columns, in their order.
        cells: the probabilities of diabetes, one for each combination of cells; the last axis' changes fastest.
    """

    axes: tuple[Axis, ...]
    cells: array[float] = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the file. The same table gives the same bytes."""
        return _header(self.axes) + _little_endian(self.cells).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, columns: Sequence[str]) -> Table:
        """Read the file.

        Args:
            data: the whole file.
            columns: names of the columns that the table must have, in their order.

        Raises:
            MalformedPackage: it is not what `to_bytes` writes, is for other columns, or holds what is no probability.
        """
        header = data[: data.find(b"\n", 0, _LONGEST_HEADER) + 1]
        axes = _axes(header)
        if axes is None or _header(axes) != header:
            raise _malformed("does not begin with its header", "one line of JSON, in the form that training writes")
        if tuple(axis.column for axis in axes) != tuple(columns):
            found = ", ".join(axis.column for axis in axes)
            raise _malformed("is for other columns", ", ".join(columns), found[:200])
        for axis in axes:
            _check(axis)
        number = count_cells(axes)
        if number > MOST_CELLS:
            raise _malformed("is too large", f"at most {MOST_CELLS:,} cells", f"{number:,}")
        content = memoryview(data)[len(header) :]
        if len(content) != number * _FLOAT_BYTES:
            wanted = f"{number * _FLOAT_BYTES:,} bytes after the header, for {number:,} cells"
            raise _malformed("does not hold the cells that its header describes", wanted, f"{len(content):,}")
        cells = array("d")
        cells.frombytes(content)
        cells = _little_endian(cells)
        if not all(0.0 <= cell <= 1.0 for cell in cells):
            raise _malformed("holds what is no probability", "numbers from 0 to 1")
        return cls(axes, cells)


def count_cells(axes: Sequence[Axis]) -> int:
    """Return how many cells a table of these axes has."""
    return math.prod(map(len, axes))


class TableEngine:
    """Looks probabilities up, without any library.

    Args:
        table: of four columns.
    """

    def __init__(self, table: Table) -> None:
        steps = [count_cells(table.axes[number + 1 :]) for number in range(len(table.axes))]
        self._offsets = [_Offsets(axis, step) for axis, step in zip(table.axes, steps, strict=True)]
        self._first, self._second, self._third, self._fourth = self._offsets
        self._cells = table.cells

    def probability(self, row: Row) -> float:
        """Return the probability of diabetes for one row."""
        one, two, three, four = row
        return self._cells[self._first[one] + self._second[two] + self._third[three] + self._fourth[four]]

    def probabilities(self, columns: Columns) -> array[float]:
        """Return the probabilities, one for each row of the four columns."""
        one, two, three, four = (
            map(offsets.__getitem__, column) for offsets, column in zip(self._offsets, columns, strict=True)
        )
        return array("d", map(self._cells.__getitem__, map(add, map(add, one, two), map(add, three, four))))


class _Offsets(dict[float, int]):
    """How far into the table a column's value leads.

    Whole numbers, as codes are, and the missing value are looked up. Others are searched for, and not kept: a client
    chooses them.
    """

    _MOST_KEPT = 256

    def __init__(self, axis: Axis, step: int) -> None:
        super().__init__()
        self._cuts, self._step = axis.cuts, step
        self._missing = axis.cell(math.nan) * step
        self[math.nan] = self._missing  # found by its identity
        if axis.cuts:
            first, last = math.floor(axis.cuts[0]), math.ceil(axis.cuts[-1])
            if last - first < self._MOST_KEPT:
                self.update((float(value), axis.cell(value) * step) for value in range(first, last + 1))

    def __missing__(self, value: float) -> int:
        return bisect_right(self._cuts, value) * self._step if value == value else self._missing


def _header(axes: Sequence[Axis]) -> bytes:
    described = [{"column": axis.column, "cuts": axis.cuts, "missing": axis.missing} for axis in axes]
    return json.dumps({"format": _FORMAT, "axes": described}, separators=(",", ":")).encode() + b"\n"


def _axes(header: bytes) -> tuple[Axis, ...] | None:
    """Read the header; None where it is not one. What it leaves open, writing it again tells."""
    try:
        return tuple(
            Axis(str(axis["column"]), tuple(map(float, axis["cuts"])), float(axis["missing"]))
            for axis in json.loads(header)["axes"]
        )
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def _check(axis: Axis) -> None:
    if not all(map(math.isfinite, (*axis.cuts, axis.missing))):
        raise _malformed(f"has a number at {axis.column} that is not finite", "finite numbers")
    if any(lower >= upper for lower, upper in zip(axis.cuts, axis.cuts[1:], strict=False)):
        raise _malformed(f"is not cut in order at {axis.column}", "each cut above the one before")


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "little":
        return numbers
    swapped = numbers[:]
    swapped.byteswap()
    return swapped


def _malformed(problem: str, expected: str, found: str = "") -> MalformedPackage:
    return MalformedPackage(f"{FILE} {problem}", expected=expected, found=found, remedy=_REMEDY)
