from dataclasses import replace

import pytest

from benchmarks.load import Load, LoadError
from benchmarks.serving import BASELINE, OURS, Measurement, compare_answers, missed_targets, print_table

SLOW = Measurement(ready=14.0, idle=250.0, loaded=255.0, load=Load(requests_per_second=50.0, p50=160.0, p99=270.0))
FAST = Measurement(ready=1.0, idle=100.0, loaded=110.0, load=Load(requests_per_second=2000.0, p50=4.0, p99=9.0))


def test_answers_within_the_tolerance_are_the_same() -> None:
    compare_answers(
        [{"diabetes_risk": "DIABETES", "probability": 0.7}], [{"diabetes_risk": "DIABETES", "probability": 0.7 + 1e-7}]
    )


@pytest.mark.parametrize(("risk", "probability"), [("NO_DIABETES", 0.7), ("DIABETES", 0.70001)])
def test_another_models_answers_are_noticed(risk: str, probability: float) -> None:
    with pytest.raises(LoadError, match="answer 1"):
        compare_answers(
            [{"diabetes_risk": "DIABETES", "probability": 0.7}], [{"diabetes_risk": risk, "probability": probability}]
        )


def test_nothing_is_missed() -> None:
    assert missed_targets({BASELINE: SLOW, OURS: FAST}) == []


def test_each_missed_target_is_named() -> None:
    ours = replace(FAST, ready=2.1, loaded=121.0, load=replace(FAST.load, requests_per_second=999.0))
    missed = missed_targets({BASELINE: SLOW, OURS: ours})
    assert len(missed) == 3
    assert "2.10 s" in missed[0]
    assert "121 MB" in missed[1]
    assert "expected at least 1,000" in missed[2]


def test_the_table_has_the_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({BASELINE: SLOW, OURS: FAST})
    printed = capsys.readouterr().out
    for ratio in ("1.00 (14.0x)", "100 (2.5x)", "2,000 (40.0x)", "4.0 (40.0x)", "9.0 (30.0x)"):
        assert ratio in printed
