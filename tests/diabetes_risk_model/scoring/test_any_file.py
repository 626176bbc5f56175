"""Any file, however it is divided: each row gets the model's own answer, or its own number among the rejects."""

import csv
import io
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diabetes_risk_model import __version__
from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.prediction.table import Table, TableEngine
from diabetes_risk_model.scoring import partitions as scoring_partitions
from diabetes_risk_model.scoring.assembly import Assembly
from diabetes_risk_model.scoring.inputs import find_files
from diabetes_risk_model.scoring.model import WantedModel, load_model
from diabetes_risk_model.scoring.partitions import count_rows, divide
from diabetes_risk_model.scoring.parts import Parts
from diabetes_risk_model.scoring.task import Task, score_partition

Outcome = tuple[bytes, bytes]
Divided = Callable[[Path, int], Outcome]
Answer = float | None

RANGES = ((10, 100), (1, 5), (1, 13), (1, 8))
NAMES = ("BMI", "GenHlth", "Age", "Income")
# A function's fixtures are the same for all examples here, and change nothing.
THOROUGH = settings(max_examples=60)


@pytest.fixture
def score(bucket: Any, tmp_path: Path) -> Divided:
    """`score(path, rows)` scores in partitions of so many rows, and returns the output and the rejects."""
    configuration = bucket.settings()
    metadata = load_model(configuration, explained=False).metadata

    def score(path: Path, rows: int) -> Outcome:
        output = tmp_path / "out.csv"
        parts = Parts(str(output), "run")
        task = Task(WantedModel(configuration, metadata["package_digest"], __version__, False), parts)

        def count(divided: Any) -> Any:
            return map(count_rows, divided)

        divided = divide(find_files(str(path)), rows, count)
        done = {each.first_row: score_partition(task, each) for each in divided}
        with Assembly(parts, done, explained=False, overwrite=True) as assembly:
            assembly.finish(metadata)
        parts.remove()
        return output.read_bytes(), Path(f"{output}.rejects.csv").read_bytes()

    return score


def _compare(outcome: Outcome, rows: list[list[Answer] | None], table: Table) -> None:
    """Compare scores and rejects with the service's engine, row by row; None stands for a row that is none."""
    engine, (scores, rejects) = TableEngine(table), outcome
    fit = {
        number: [math.nan if value is None else value for value in row]
        for number, row in enumerate(rows)
        if row is not None
        and all(value is None or low <= value <= high for value, (low, high) in zip(row, RANGES, strict=True))
        and all(value is None or value == math.floor(value) for value in row[1:])
    }
    found = {int(row): float(probability) for row, _, probability in list(csv.reader(io.StringIO(scores.decode())))[1:]}
    expected = {number: engine.probabilities(tuple([value] for value in row))[0] for number, row in fit.items()}
    assert found == expected
    told = [int(row) for row, *_ in list(csv.reader(io.StringIO(rejects.decode())))[1:]]
    assert told == sorted(told)
    assert set(told) == set(range(len(rows))) - set(fit)


_field = st.sampled_from(
    ["", "1", "2", "3.0", "5", "8", "13", "20", "29.5", "100", "101", "-1", "x", '""', '"4"', " 3"]
)
_lines = st.lists(
    st.one_of(
        st.lists(_field, min_size=4, max_size=4).map(",".join),
        st.lists(_field, max_size=6).map(",".join),
        st.sampled_from(['"1,2,3,4', "1,2,3,4\x00", '1,"2"3,4,5', "20,1,1,1\r20,1,1,1", '"20","1","1","1"']),
    ),
    max_size=25,
)


def _read_line(line: str) -> list[Answer] | None:
    """Read a line in the simplest way."""
    try:
        fields = next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None
    if len(fields) != len(NAMES):
        return None
    try:
        return [float(field) if field else None for field in fields]
    except ValueError:
        return None


@THOROUGH
@given(
    lines=_lines,
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    last=st.booleans(),
    rows=st.integers(1, 30),
)
def test_any_csv(
    score: Divided, table: Table, tmp_path: Path, lines: list[str], end: str, mark: str, last: bool, rows: int
) -> None:
    text = mark + end.join([",".join(NAMES), *lines]) + (end if last else "")
    (tmp_path / "in.csv").write_bytes(text.encode())
    outcome = score(tmp_path / "in.csv", rows)
    assert outcome == score(tmp_path / "in.csv", 10**6)
    kept = lines if last or not lines or lines[-1] else lines[:-1]
    _compare(outcome, [_read_line(line) for line in kept], table)


_kinds = st.sampled_from(
    [pa.int8(), pa.int16(), pa.int64(), pa.uint16(), pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.string()]
)


@THOROUGH
@given(data=st.data(), group=st.integers(1, 12), rows=st.integers(1, 30))
def test_any_parquet(score: Divided, table: Table, tmp_path: Path, data: Any, group: int, rows: int) -> None:
    length = data.draw(st.integers(0, 25))
    columns, values = {}, []
    for name, (low, high) in zip(NAMES, RANGES, strict=True):
        kind, encoded = data.draw(_kinds), data.draw(st.booleans())
        drawn = data.draw(st.lists(st.none() | st.integers(low - 1, high + 1), min_size=length, max_size=length))
        as_kind = {pa.string(): str, pa.decimal128(9, 2): Decimal}.get(kind, int)
        column = pa.array([None if value is None else as_kind(value) for value in drawn], kind)
        columns[name] = column.dictionary_encode() if encoded else column
        values.append(drawn)
    columns["other"] = pa.array(
        [{"BMI": 1, "Age": [1, 2]}] * length, pa.struct({"BMI": pa.int8(), "Age": pa.list_(pa.int8())})
    )
    pq.write_table(pa.table(columns), tmp_path / "in.parquet", row_group_size=group)
    outcome = score(tmp_path / "in.parquet", rows)
    assert outcome == score(tmp_path / "in.parquet", 10**6)
    _compare(outcome, [list(row) for row in zip(*values, strict=True)], table)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_a_file_that_is_cut_off_is_refused_or_scored_as_far_as_it_goes(
    score: Divided, tmp_path: Path, name: str
) -> None:
    columns = {column: [1] * 300 for column in NAMES[1:]} | {"BMI": [20.5] * 300}
    pq.write_table(pa.table(columns), tmp_path / "whole.parquet", row_group_size=100)
    content = (tmp_path / "whole.parquet").read_bytes()
    if name == "in.csv":
        content = b"BMI,GenHlth,Age,Income\n" + b"20.5,1,1,1\n" * 20
    for cut in range(1, len(content), 7 if name == "in.csv" else 97):
        (tmp_path / name).write_bytes(content[:cut])
        try:
            scores, rejects = score(tmp_path / name, 7)
        except DataError:
            continue
        assert name == "in.csv"
        rows = content[:cut].count(b"\n") - 1 + (content[cut - 1 : cut] != b"\n")
        assert scores.count(b"\n") + rejects.count(b"\n") - 2 >= rows > -1
        assert rejects.count(b"\n") <= 1 + len(NAMES)


def test_a_file_that_is_changed_while_its_last_part_is_read_is_noticed(
    score: Divided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"BMI,GenHlth,Age,Income\n20.5,1,1,1\n")
    read = scoring_partitions.csv_lines.read_blocks

    def read_and_change(*arguments: Any) -> Any:
        path.write_bytes(b"BMI,GenHlth,Age,Income\n60.5,5,9,1\n")
        yield from read(*arguments)

    monkeypatch.setattr(scoring_partitions.csv_lines, "read_blocks", read_and_change)
    with pytest.raises(DataError, match="was changed while it was being scored"):
        score(path, 10)
    assert not (tmp_path / "out.csv").exists()
