"""What comes out: the form of the scores and of the rejects, and of the parts that they are put together from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from diabetes_risk_model.prediction.batch import THRESHOLD
from diabetes_risk_model.prediction.schemas import DiabetesRisk, DiabetesRiskModelInput
from diabetes_risk_model.scoring.inputs import CSV

REJECTS = ("row", "file", "row_in_file", "column", "problem")
_RISKS = [DiabetesRisk.NO_DIABETES.value, DiabetesRisk.DIABETES.value]
_GROUP_ROWS = 1 << 20

Floats = NDArray[np.float64]


def schema_of(explained: bool, metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """Return the columns of the scores.

    Args:
        explained: whether each row's contributions are among them.
        metadata: of the whole file.
    """
    columns = [("row", pa.int64()), ("risk", pa.dictionary(pa.int8(), pa.string())), ("probability", pa.float64())]
    if explained:
        columns += [(f"contribution_of_{name}", pa.float64()) for name in DiabetesRiskModelInput.model_fields]
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns]
    return pa.schema(fields, metadata=dict(metadata or {}))


class PartWriter:
    """Writes the scores of a partition in their final form, into memory.

    Args:
        kind: PARQUET, or CSV without a header.
        explained: whether contributions are given.
    """

    def __init__(self, kind: str, explained: bool) -> None:
        self._schema = schema_of(explained)
        self._buffer = pa.BufferOutputStream()
        self._csv = kind == CSV
        self._waiting: list[pa.Table] = []
        self._rows_waiting = 0
        self._parquet = None if self._csv else parquet_writer(self._buffer, self._schema)

    def write(self, rows: NDArray[np.int64], probabilities: Floats, contributions: Floats | None) -> None:
        """Write some rows.

        Args:
            rows: their numbers.
            probabilities: of diabetes, one for each.
            contributions: of shape (n, 4), where they are explained.
        """
        if not len(rows):
            return  # pyarrow writes an empty chunk into CSV over the lines that follow
        positive = (probabilities > THRESHOLD).view(np.int8)
        risks = pa.DictionaryArray.from_arrays(pa.array(positive), pa.array(_RISKS))
        explained = [] if contributions is None else [pa.array(column) for column in contributions.T]
        columns = [pa.array(rows), risks, pa.array(probabilities), *explained]
        table = pa.table(columns, schema=self._schema)
        self._waiting.append(table)
        self._rows_waiting += len(table)
        if self._rows_waiting >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows_waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting, self._rows_waiting = [], 0
        if self._parquet is not None:
            self._parquet.write_table(table, row_group_size=len(table))
        else:
            table = table.set_column(1, "risk", table["risk"].cast(pa.string()))
            pc.write_csv(table, self._buffer, pc.WriteOptions(include_header=False, quoting_style="none"))

    def finish(self) -> memoryview:
        """Return the part."""
        self._flush()
        if self._parquet is not None:
            self._parquet.close()
        return memoryview(self._buffer.getvalue())


def parquet_writer(sink: object, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of scores.

    Row numbers are written as differences, and what repeats as a dictionary. That leaves next to nothing to compress.
    Least and greatest are kept of the row numbers only: those of the others are nearly the same in all row groups.
    """
    dictionaries = [name for name in schema.names if name != "row"]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="none",
        write_statistics=["row"],
        use_dictionary=dictionaries,
        column_encoding={"row": "DELTA_BINARY_PACKED"},
    )


def csv_header(schema: pa.Schema) -> bytes:
    """Return the first line of the scores as CSV."""
    return (",".join(schema.names) + "\n").encode()


def rejects_csv(rows: Iterable[tuple[object, ...]]) -> bytes:
    """Return rows of the rejects' file, without its header."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
