import io

import pytest
from rich.console import Console

from benchmarks.training_on_dask import Run, report


@pytest.mark.parametrize(
    ("seconds", "files", "passes", "says"),
    [
        ((90.0, 100.0, 58.0), {}, True, "different: none"),
        ((90.0, 100.0, 60.0), {}, False, "1.67 times as fast; at least 1.7: NO"),
        ((90.0, 100.0, 50.0), {"metrics.json": "other"}, False, "different: metrics.json"),
        ((90.0, 100.0, 50.0), {"more.png": "a"}, False, "different: more.png"),
    ],
)
def test_the_target_is_two_workers_that_write_the_same_and_are_fast(
    seconds: tuple[float, ...], files: dict[str, str], passes: bool, says: str
) -> None:
    same = {"metrics.json": "a", "model.pkl": "b"}
    runs = [Run(0, seconds[0], same, ""), Run(1, seconds[1], same, ""), Run(2, seconds[2], {**same, **files}, "")]
    console = Console(file=io.StringIO(), width=100)
    assert report(console, runs) is passes
    assert says in console.file.getvalue()  # type: ignore[attr-defined]
