"""From a column of answers to places in the table, for a whole column at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.prediction.table import Axis
from diabetes_risk_model.scoring.columns import Form

Places = NDArray[np.int32]
Flags = NDArray[np.bool_]

_MOST_BUCKETS = 1 << 16
_FOREIGN = -1


@dataclass(frozen=True)
class Encoded:
    """A column that was encoded.

    Attributes:
        places: how far into the table each value leads.
        wrong: which values do not fit; None where all do. Their places are those of a missing one.
    """

    places: Places
    wrong: Flags | None


class ColumnEncoder:
    """Encodes one column.

    Args:
        axis: of the table.
        step: how many cells of the table one cell of the axis spans.
        form: what the column may hold.
    """

    def __init__(self, axis: Axis, step: int, form: Form) -> None:
        self.form = form
        self._missing = axis.cell(math.nan) * step
        self._place: Callable[[float], int] = lambda value: axis.cell(value) * step
        self._codes = {text: float(code) for code, text in enumerate(form.texts, 1)}
        self._find = _codes(self._place, form) if form.whole else _search(axis, step, form)

    def encode(self, column: pa.Array) -> Encoded:
        """Return the places of a column of numbers or texts, some of which may be null."""
        if pa.types.is_dictionary(column.type) and not _is_text(column.type.value_type):
            column = column.dictionary_decode()
        if pa.types.is_dictionary(column.type) or _is_text(column.type):
            return self._texts(column)
        return self._numbers(column)

    def problem(self, value: object) -> str:
        """Return what is wrong with a value that does not fit."""
        return f"expected {self.form.expected}; found {printable(str(value))!r}"

    def _numbers(self, column: pa.Array) -> Encoded:
        if pa.types.is_null(column.type):
            return Encoded(np.full(len(column), self._missing, np.int32), None)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        missing: Flags | None = None
        if column.null_count:
            missing = column.is_null().to_numpy(zero_copy_only=False)
            column = column.fill_null(0)
        values = column.to_numpy(zero_copy_only=False)
        real = values.dtype.kind == "f"
        if real and values.dtype.itemsize < np.dtype(np.float64).itemsize:
            values = values.astype(np.float64)
        if missing is None and not (real and self.form.whole) and self._spans(values):
            return Encoded(self._find(values), None)
        if real:
            absent = np.isnan(values)
            if absent.any():
                missing = absent if missing is None else absent | missing
        fits = (values >= self.form.minimum) & (values <= self.form.maximum)
        if real and self.form.whole:
            fits &= values == np.floor(values)
        if fits.all():
            return Encoded(self._find(values), None)
        places = self._find(np.where(fits, values, values.dtype.type(self.form.minimum)))
        places[~fits] = self._missing
        wrong = ~fits if missing is None else ~(fits | missing)
        if missing is not None:
            places[missing] = self._missing
        return Encoded(places, wrong if wrong.any() else None)

    def _spans(self, values: NDArray[np.generic]) -> bool:
        """Return whether all values lie in the range. Where one is NaN, the least and the greatest are."""
        least, greatest = (values.min(), values.max()) if len(values) else (self.form.minimum, self.form.maximum)
        return bool(self.form.minimum <= least and greatest <= self.form.maximum)

    def _texts(self, column: pa.Array) -> Encoded:
        if not self.form.texts and not pa.types.is_dictionary(column.type):
            try:
                numbers = pc.cast(column, pa.float64())
            except pa.ArrowInvalid:  # some are no numbers: they are looked at one by one
                pass
            else:
                if not pc.any(pc.is_nan(numbers)).as_py():  # the text NaN is none
                    return self._numbers(numbers)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = [_text(value) for value in encoded.dictionary.cast(pa.large_binary()).to_pylist()]
        found = np.array([*map(self._text_place, values), self._missing], np.int32)
        indices = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        places = found[indices]
        wrong = places == _FOREIGN
        if not wrong.any():
            return Encoded(places, None)
        places[wrong] = self._missing
        return Encoded(places, wrong)

    def _text_place(self, text: str | None) -> int:
        if not text:
            return self._missing
        form = self.form
        if form.texts:
            return self._place(self._codes[text]) if text in self._codes else _FOREIGN
        try:
            number = float(text) if "_" not in text else math.nan
        except ValueError:
            return _FOREIGN
        fits = form.minimum <= number <= form.maximum and (not form.whole or number == math.floor(number))
        return self._place(number) if fits else _FOREIGN


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _codes(place: Callable[[float], int], form: Form) -> Callable[[NDArray[np.generic]], Places]:
    first = int(form.minimum)
    found = np.array([place(float(code)) for code in range(int(form.maximum) + 1)], np.int32)
    found[:first] = place(float(first))
    return lambda values: found[values if values.dtype.kind in "iu" else values.astype(np.int64)]


def _search(axis: Axis, step: int, form: Form) -> Callable[[NDArray[np.generic]], Places]:
    """Return what finds the cell of a measure.

    The range is divided into so many buckets that none holds two cuts. Then a value's bucket tells how many cuts lie
    below it, and one comparison settles the rest. Values and cuts go through the same arithmetic, which never changes
    the order of two numbers, so no rounding can lead astray.
    """
    cuts = np.array([cut for cut in axis.cuts if form.minimum < cut <= form.maximum])
    below = axis.cell(form.minimum)
    buckets = 1
    while buckets <= _MOST_BUCKETS:
        scale = buckets / (form.maximum - form.minimum)
        numbers = ((cuts - form.minimum) * scale).astype(np.intp)
        if len(np.unique(numbers)) == len(numbers):
            break
        buckets *= 2
    else:
        return lambda values: ((np.searchsorted(cuts, values, side="right") + below) * step).astype(np.int32)
    places = ((np.searchsorted(numbers, np.arange(buckets + 1), side="left") + below) * step).astype(np.int32)
    cut_of = np.full(buckets + 1, np.inf)
    cut_of[numbers] = cuts

    def find(values: NDArray[np.generic]) -> Places:
        given = values.astype(np.float64, copy=False)
        bucket = ((given - form.minimum) * scale).astype(np.intp)
        found: Places = places[bucket]
        found += (given >= cut_of[bucket]) * np.int32(step)
        return found

    return find
