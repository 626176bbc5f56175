"""The output is put together as parts come, in their order, and appears with the last word only."""

from pathlib import Path

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.scoring.assembly import Assembly
from diabetes_risk_model.scoring.inputs import kind_of
from diabetes_risk_model.scoring.outputs import PartWriter
from diabetes_risk_model.scoring.parts import Part, Parts

ROWS = 10


def _made(parts: Parts, number: int) -> Part:
    first_row = number * ROWS
    writer = PartWriter(kind_of(parts.output), False)
    rows = np.arange(first_row, first_row + ROWS)
    writer.write(rows, rows / 100, None)
    return parts.write(first_row, bytes(writer.finish()), b"", ROWS, 0)


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_a_part_is_taken_as_soon_as_those_before_it_were(name: str, tmp_path: Path) -> None:
    parts = Parts(str(tmp_path / name), "run")
    made = [_made(parts, number) for number in range(4)]
    with Assembly(parts, {made[3].first_row: made[3]}, explained=False, overwrite=False) as assembly:
        for number, taken in ((2, set()), (0, {0}), (1, {0, 1, 2, 3})):
            assembly.add(made[number])
            for each in taken:  # what is taken already is not read again
                (path,) = tmp_path.glob(f"*/*/{made[each].name}.scores")
                path.write_bytes(b"")
        assert not (tmp_path / name).exists()
        assembly.finish({"name": "a model"})
    assert (assembly.scored, assembly.rejected) == (4 * ROWS, 0)
    found = pq.read_table(tmp_path / name) if name.endswith("parquet") else pc.read_csv(tmp_path / name)
    assert found["row"].to_pylist() == list(range(4 * ROWS))
    assert found["probability"].to_pylist() == [row / 100 for row in range(4 * ROWS)]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_after_an_error_only_the_parts_are_left(name: str, tmp_path: Path) -> None:
    parts = Parts(str(tmp_path / name), "run")
    made = _made(parts, 0)

    def fail() -> None:
        with Assembly(parts, {}, explained=False, overwrite=False) as assembly:
            assembly.add(made)
            assert len(_files(tmp_path)) == 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert _files(tmp_path) == {f"{made.name}.scores"}
