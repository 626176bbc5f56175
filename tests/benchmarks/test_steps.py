import pytest

from benchmarks.services import BODIES, FLOOR, OUR_APPLICATION
from benchmarks.steps import ALL, print_table
from benchmarks.timing import Cost, best


def test_the_rest_is_what_the_application_does_not_take(capsys: pytest.CaptureFixture[str]) -> None:
    costs = [Cost("parse", 4.0, "JSON"), Cost(ALL, 15.0, "all")]
    print_table(costs, [Cost("parse", 7.0, "otherwise")], {OUR_APPLICATION: 60.0, FLOOR: 30.0})
    lines = {line.split("│")[1].strip(): line for line in capsys.readouterr().out.splitlines() if "│" in line}
    assert "4.0" in lines["parse"]
    assert "7%" in lines["parse"]
    assert "45.0" in lines["framework and socket"]
    assert "75%" in lines["framework and socket"]
    assert "50%" in lines["the floor"]
    assert "%" not in lines["instead: parse"]


def test_every_repeat_goes_through_the_number_that_is_asked_for() -> None:
    calls = []
    assert best(lambda: calls.append(len(BODIES)), 3) >= 0
    assert len(calls) % 3 == 0
    assert calls
