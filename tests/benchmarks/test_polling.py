import shutil
from pathlib import Path

import pytest

from benchmarks import polling


def test_looks_are_timed_and_find_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    if shutil.which("git") is None:
        pytest.skip("there is no git on this machine")
    monkeypatch.setattr(polling.os, "environ", {**polling.os.environ})
    times = polling.measure(tmp_path, versions=3, looks=2)
    assert [len(values) for values in times.values()] == [2, 2]
    assert all(seconds > 0 for values in times.values() for seconds in values)


class _Changed:
    def once(self) -> list[object]:
        return []


def test_a_look_that_finds_something_new_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="every stage is unchanged"):
        polling._expect(_Changed(), "unchanged")  # type: ignore[arg-type]
