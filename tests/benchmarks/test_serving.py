from dataclasses import replace

import pytest

from benchmarks.batches import CSV, JSON, Batches
from benchmarks.interruptions import Interruptions
from benchmarks.load import Load
from benchmarks.services import BASELINE, FLOOR, OURS
from benchmarks.serving import Growth, Measurement, median_load
from benchmarks.serving_report import missed_targets, print_report

SLOW = Measurement(14.0, 250.0, 255.0, Load(requests_per_second=50.0, p50=160.0, p99=270.0), 8_000.0)
FAST = Measurement(1.0, 60.0, 80.0, Load(requests_per_second=10_000.0, p50=0.5, p99=1.0), 50.0)
BARE = Measurement(0.2, 30.0, 30.0, Load(requests_per_second=20_000.0, p50=0.2, p99=0.4), 30.0)
MEASURED = {BASELINE: SLOW, OURS: FAST, FLOOR: BARE}
BATCHES = {JSON: Batches(400_000.0, 410_000.0, 25.0, 1_000.0), CSV: Batches(300_000.0, 310_000.0, 33.0, 400.0)}
FLAT = Growth(1_000_000, 80.0, 81.0)


def test_nothing_is_missed() -> None:
    assert missed_targets(MEASURED, BATCHES, FLAT) == []
    assert missed_targets({OURS: FAST, FLOOR: BARE}, {}, None) == []


def test_each_missed_target_is_named() -> None:
    ours = replace(FAST, ready=1.1, loaded=101.0, load=Load(requests_per_second=2_000.0, p50=1.0, p99=3.5))
    batches = {**BATCHES, CSV: Batches(299_000.0, 310_000.0, 33.0, 400.0)}
    missed = missed_targets({**MEASURED, OURS: ours}, batches, Growth(1_000_000, 80.0, 90.0))
    expected = ["1.10 s", "101 MB", "at least 2,500", "at least 10,000", "p99 3.5", "299,000 rows/s of CSV", "by 10.0"]
    assert len(missed) == len(expected)
    for sentence, part in zip(missed, expected, strict=True):
        assert part in sentence


def test_the_report_has_the_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(MEASURED, BATCHES, FLAT, Interruptions(0.0123, 4.0), "table")
    printed = capsys.readouterr().out
    for part in ("1.00 (14.0x)", "80 (3.2x)", "10,000 (200.0x)", "0.50 (320.0x)", "1.00 (270.0x)", "50 (160.0x)"):
        assert part in printed
    assert "50% of the floor's requests/s; 60% by the processor's" in printed
    assert "400,000" in printed
    assert "took 1.23% of the time, at most 4.0 ms at once" in printed.replace("\n", " ")
    assert "+1.0 MB" in printed


def test_each_figure_of_a_load_is_the_median_of_the_rounds() -> None:
    loads = [Load(1.0, 9.0, 20.0, 3), Load(5.0, 1.0, 30.0, 4), Load(3.0, 5.0, 10.0, 5)]
    assert median_load(loads) == Load(3.0, 5.0, 20.0, 12)
