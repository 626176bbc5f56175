"""Files that are put together are one file, whatever is in them."""

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.scoring.parquet_footers import MAGIC, TAIL_BYTES, RowGroups


def _file(table: pa.Table, **options: Any) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue().to_pybytes()


def _footer(content: bytes) -> tuple[bytes, int]:
    end = len(content) - TAIL_BYTES - struct.unpack("<I", content[-8:-4])[0]
    return content[end:-TAIL_BYTES], end


def _together(files: list[bytes], empty: bytes) -> pa.Table:
    groups, data = RowGroups(), bytearray(MAGIC)
    for file in files:
        content, end = _footer(file)
        groups.add(content, len(data) - len(MAGIC))
        data += file[len(MAGIC) : end]
    return pq.ParquetFile(pa.BufferReader(bytes(data) + groups.footer(_footer(empty)[0]))).read()


@pytest.mark.parametrize("files", [0, 1, 3, 40])
@pytest.mark.parametrize("columns", [1, 40])
def test_files_put_together_are_one(files: int, columns: int) -> None:
    numbers = np.random.default_rng(files)
    names = [f"column {number}" for number in range(columns)]
    tables = [
        pa.table({name: pa.array(numbers.integers(0, 9, 50), mask=numbers.random(50) < 0.2) for name in names})
        for _ in range(files)
    ]
    schema = pa.schema([(name, pa.int64()) for name in names], metadata={"a": "b" * 300})
    options: list[dict[str, Any]] = [{}, {"write_page_index": True}, {"use_dictionary": False, "row_group_size": 7}]
    written = [_file(table, **options[number % 3]) for number, table in enumerate(tables)]
    found = _together(written, _file(schema.empty_table()))
    assert found.schema.metadata == schema.metadata
    assert found.equals(pa.concat_tables([schema.empty_table(), *tables]))


def test_every_type_and_statistic_survives() -> None:
    table = pa.table({"b": [True, False, None], "f": [1.5, None, -2.0], "t": ["x", "y" * 500, None]})
    table = table.append_column("d", table["t"].dictionary_encode())
    schema = pq.read_schema(pa.BufferReader(_file(table)))
    found = _together([_file(table, compression="zstd")] * 2, _file(schema.empty_table()))
    assert found.to_pylist() == table.to_pylist() * 2


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_a_footer_that_ends_early_is_refused(cut: int) -> None:
    content = _footer(_file(pa.table({"a": [1]})))[0]
    with pytest.raises(ValueError, match="ends early"):
        RowGroups().add(content[:cut], 0)
