"""Parquet files to score, by their row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.scoring.columns import Form, find_forms
from diabetes_risk_model.scoring.inputs import DataFile, RangeReader, local_path

_BATCH_ROWS = 1 << 17


def find_columns(file: DataFile) -> tuple[tuple[Form, ...], list[int]]:
    """Return the forms of a file's columns, and how many rows each of its row groups has.

    Raises:
        DataError: it is no Parquet file, or a column is missing or of a type that cannot hold an answer.
    """
    with _opened(file) as opened:
        schema = opened.schema_arrow
        forms = find_forms(schema.names, file.address)
        groups = [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
    for form in forms:
        kind = schema.field(form.column).type
        if not _is_usable(kind, form):
            raise DataError(
                f"the column {form.column} of {file.address} cannot hold an answer: expected "
                f"{'texts' if form.texts else 'numbers or texts'}; found {kind}. Convert it."
            )
    return forms, groups


def read_columns(file: DataFile, wanted: Sequence[str], start: int, stop: int) -> Iterator[dict[str, pa.Array]]:
    """Yield the columns of some row groups, in batches.

    Args:
        file: to be read.
        wanted: the columns to return.
        start: the first row group.
        stop: the one after the last.
    """
    with _opened(file, wanted) as opened:
        for batch in opened.iter_batches(_BATCH_ROWS, list(range(start, stop)), list(wanted), use_threads=False):
            yield {name: batch.column(name) for name in wanted}


@contextmanager
def _opened(file: DataFile, texts: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    path = local_path(file.storage, file.name)
    try:
        with (
            pa.OSFile(str(path)) if path is not None else pa.PythonFile(RangeReader(file), "r") as source,
            pq.ParquetFile(source, read_dictionary=list(texts), pre_buffer=path is None) as opened,
        ):
            yield opened
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise DataError(f"{file.address} cannot be read: expected a Parquet file; found: {reason}") from None


def _is_usable(kind: pa.DataType, form: Form) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return True
    is_number = pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    is_number = is_number or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    return bool(is_number) and not form.texts
