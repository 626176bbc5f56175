from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.scoring import Run, Speeds, report
from benchmarks.scoring_peers import by_pandas, from_frame_to_frame, in_memory, pyarrow_alone, write_rows
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.table import Axis, Table

GOOD = Run([2.0, 4.0, 2.0], 2.0, [1.0, 1.0, 1.0], 500.0)
FASTER = Run([1.0, 1.0, 1.0], 2.0, [0.5, 0.6, 0.7], 600.0)


def test_rows_are_written_and_scored_in_memory(tmp_path: Path) -> None:
    from array import array

    write_rows(tmp_path / "rows.parquet", 1_000)
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 1_000
    table = Table(tuple(Axis(column, (), 1.0) for column in INPUT_COLUMNS), array("d", [0.75]))
    assert in_memory(table, tmp_path / "rows.parquet") > 0
    assert pyarrow_alone(table, tmp_path / "rows.parquet") > 0
    for readable in (False, True):
        assert from_frame_to_frame(table, tmp_path / "rows.parquet", readable=readable) > 0


def test_pandas_is_given_the_same_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", 1_000)
    seen: list[Any] = []

    def predict(frame: Any) -> Any:
        seen.append(frame)
        return np.full((len(frame), 2), 0.5)

    assert by_pandas(predict, {"GenHlth": "GeneralHealth"}, tmp_path / "rows.parquet", tmp_path, 100) > 0
    assert list(seen[0].columns) == list(INPUT_COLUMNS)
    assert len(seen[0]) == 100


@pytest.mark.parametrize(
    ("memory", "two", "missed"),
    [
        (5e6, FASTER, ""),
        (1.9e6, FASTER, "2,000,000 rows per second in memory"),
        (5e6, Run([1.5, 1.0, 1.5], 2.0, FASTER.loops, 600.0), "two workers 1.8 times as fast"),
        (5e6, Run(FASTER.rounds, 2.0, FASTER.loops, 1_501.0), "1,500 MB"),
    ],
)
def test_a_target_that_is_missed_is_named(memory: float, two: Run, missed: str, capsys: Any) -> None:
    assert report(10_000_000, Speeds(memory, 4e6, 3e6, 2e6, 2e7, 1e6, 5e5), GOOD, two) == bool(missed)
    printed = " ".join(capsys.readouterr().out.split())
    assert ("Missed:" in printed) == bool(missed)
    assert missed in printed
    assert f"{GOOD.rounds[0]:.1f} and {median(two.rounds):.1f} s; " in printed
    assert "1.67 times at a loop that needs nothing but a processor (1.43 to 2.00)" in printed
    assert "is 250% of the 2,000,000 rows" in printed
    assert f"and {5e6 / memory:.0%} of what the look-up reaches" in printed
