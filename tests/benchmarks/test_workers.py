import multiprocessing
import os
import sys

import pytest

from benchmarks.load import Load
from benchmarks.workers import OWN, UVICORN, Measurement, memory_of, print_report

_BALLAST = 40_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_a_fork_shares_is_not_its_own() -> None:
    ballast = b"x" * _BALLAST
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send(memory_of(os.getpid())))
    before = memory_of(os.getpid())
    child.start()
    shared = ours.recv()
    child.join()
    assert len(ballast) == _BALLAST
    assert before.private > _BALLAST / 1e6
    assert shared.private < before.private - _BALLAST / 1e6 * 0.9
    assert shared.proportional < before.proportional


def test_the_report_compares_with_one_worker(capsys: pytest.CaptureFixture[str]) -> None:
    alone = Measurement(ready=1.0, total=50.0, private=45.0, load=Load(1000.0, 1.0, 2.0), busiest=1.0)
    two = Measurement(ready=1.5, total=80.0, private=20.0, load=Load(1700.0, 1.0, 2.0), busiest=0.6)
    print_report({(OWN, 1): alone, (OWN, 2): two, (UVICORN, 1): alone, (UVICORN, 2): two}, "table")
    output = capsys.readouterr().out
    assert "30.0" in output
    assert "1.70" in output
