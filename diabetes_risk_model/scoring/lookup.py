"""Scores whole columns: the engine `table`, with numpy. Its answers are those of the engine, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diabetes_risk_model.prediction.table import Table, count_cells
from diabetes_risk_model.scoring.columns import Form
from diabetes_risk_model.scoring.encoding import ColumnEncoder, Encoded, Flags, Places


@dataclass(frozen=True)
class Problem:
    """Why a row is not scored.

    Attributes:
        row: its number among those that were looked at, from 0.
        column: in which column; empty where the row as a whole does not fit.
        message: what is wrong.
    """

    row: int
    column: str
    message: str


@dataclass(frozen=True)
class Located:
    """Where rows are in the table.

    Attributes:
        places: the cell of each row.
        wrong: which rows do not fit; None where all do.
        problems: what is wrong with those, in the order of the rows.
    """

    places: Places
    wrong: Flags | None
    problems: list[Problem]


class Lookup:
    """Looks rows up in a table.

    Args:
        table: of the package.
        forms: of the columns, in the order of the table's axes.
    """

    def __init__(self, table: Table, forms: Sequence[Form]) -> None:
        steps = [count_cells(table.axes[number + 1 :]) for number in range(len(table.axes))]
        self._encoders = [ColumnEncoder(*each) for each in zip(table.axes, steps, forms, strict=True)]
        self.cells: NDArray[np.float64] = np.frombuffer(table.cells, np.float64)

    def locate(self, columns: Mapping[str, pa.Array]) -> Located:
        """Return where rows are in the table.

        Args:
            columns: by their names, all of the same length; at least those of the forms.
        """
        arrays = [columns[encoder.form.column] for encoder in self._encoders]
        encoded = [encoder.encode(array) for encoder, array in zip(self._encoders, arrays, strict=True)]
        places = encoded[0].places
        for each in encoded[1:]:
            places = places + each.places
        if all(each.wrong is None for each in encoded):
            return Located(places, None, [])
        wrong = np.zeros(len(places), np.bool_)
        for each in encoded:
            if each.wrong is not None:
                wrong |= each.wrong
        return Located(places, wrong, sorted(self._problems(arrays, encoded), key=lambda problem: problem.row))

    def _problems(self, arrays: Sequence[pa.Array], encoded: Sequence[Encoded]) -> Iterator[Problem]:
        for encoder, array, each in zip(self._encoders, arrays, encoded, strict=True):
            if each.wrong is None:
                continue
            rows = np.flatnonzero(each.wrong)
            values = array.take(pa.array(rows))
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
                texts = [value.decode(errors="replace") for value in values.cast(pa.large_binary()).to_pylist()]
            else:
                texts = values.to_pylist()
            for row, value in zip(rows.tolist(), texts, strict=True):
                yield Problem(row, encoder.form.column, encoder.problem(value))
