"""A part holds every row that was written, and nothing else."""

import csv
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from diabetes_risk_model.scoring.inputs import CSV, PARQUET
from diabetes_risk_model.scoring.outputs import PartWriter


@given(st.lists(st.lists(st.floats(0, 1), max_size=12), max_size=6))
def test_blocks_of_any_length_are_written_whole(blocks: list[list[float]]) -> None:
    """Of some blocks no row fits. pyarrow's own CSV of a table with an empty chunk lacks rows."""
    written = {}
    for kind in (CSV, PARQUET):
        writer, first = PartWriter(kind, explained=False), 0
        for block in blocks:
            writer.write(np.arange(first, first + len(block)), np.array(block, np.float64), None)
            first += len(block)
        written[kind] = bytes(writer.finish())
    expected = [
        (number, "DIABETES" if value > 0.5 else "NO_DIABETES", value)
        for number, value in enumerate(value for block in blocks for value in block)
    ]
    lines = csv.reader(io.StringIO(written[CSV].decode()))
    assert [(int(row), risk, float(value)) for row, risk, value in lines] == expected
    table = pq.read_table(pa.BufferReader(written[PARQUET]))
    assert [tuple(row.values()) for row in table.to_pylist()] == expected
