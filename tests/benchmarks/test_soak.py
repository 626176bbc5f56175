import json
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from benchmarks.mixed_load import Checked
from benchmarks.soak import Soak, cases_of, missed_targets, print_table
from diabetes_risk_model.prediction.batch import Batch, predict_batch
from diabetes_risk_model.prediction.encoding import encode_plain
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.plain import PlainAnswer, plain_answer

RIGHT = Checked(
    right=1_000, wrong=0, failed=0, unexpected=0, broken=0, microseconds=10**6, p50=500, p99=900, example=""
)
GOOD = Soak(1_250.0, 1_000.0, RIGHT, {"408": 30}, 70.0, 70.5, 0)


def test_nothing_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert missed_targets(GOOD) == []
    print_table(GOOD)
    assert "30 got 408" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (replace(GOOD, checked=replace(RIGHT, failed=1)), "1 answers with the status 500"),
        (replace(GOOD, checked=replace(RIGHT, wrong=2)), "2 wrong answers"),
        (replace(GOOD, checked=replace(RIGHT, unexpected=3)), "3 answers with another status"),
        (replace(GOOD, checked=replace(RIGHT, broken=4)), "4 broken connections"),
        (replace(GOOD, tracebacks=1), "1 tracebacks"),
        (replace(GOOD, slow={"408": 9, "none": 1}), "1 slow clients"),
        (replace(GOOD, slow={}), "No slow client"),
        (replace(GOOD, after=72.5), "grew by 2.5 MB"),
    ],
)
def test_each_miss_is_named(found: Soak, expected: str) -> None:
    (sentence,) = missed_targets(found)
    assert expected in sentence


class OneAnswer:
    """A model that finds everybody equally at risk."""

    def answer_plain(self, answers: object) -> PlainAnswer | None:
        return plain_answer(0.25) if encode_plain(answers) is not None else None

    def predict_batch(self, rows: Sequence[object]) -> Batch:
        return predict_batch(rows, lambda columns: [0.25] * len(columns[0]))


def test_nine_in_ten_are_to_be_served_with_the_models_own_answers() -> None:
    cases = cases_of(cast(DiabetesRiskModel, OneAnswer()))
    served = [case for case in cases if case.status == 200]
    assert 0.89 < len(served) / len(cases) < 0.92
    for case in served:
        answer = json.loads(case.answer or "")
        assert all(each["probability"] == 0.25 for each in answer.get("predictions", [answer]))
    assert {case.status for case in cases} == {200, 400, 404, 413, 415}
