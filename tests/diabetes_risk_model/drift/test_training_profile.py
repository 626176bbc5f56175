"""The file in the package: one form, and everything else is refused."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from diabetes_risk_model.data.columns import AGE, BMI
from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.drift.training_profile import LONGEST, NAMES, TrainingProfile
from diabetes_risk_model.training.distributions import training_profile
from diabetes_risk_model.training.errors import TrainingError
from diabetes_risk_model.training.train import SELECTED
from signed_parameters import MalformedPackage

Change = Callable[[dict[str, Any]], object]


def test_it_counts_the_rows_of_each_code_and_bin(profile: TrainingProfile) -> None:
    frame = draw(2_000, seed=1)
    assert (profile.rows, tuple(each.name for each in profile.distributions)) == (2_000, NAMES)
    ages = frame["Age"].value_counts().reindex(AGE.values, fill_value=0)
    assert list(profile["Age"].counts) == ages.tolist()
    assert profile["Age"].missing == frame["Age"].isna().sum()
    bins = profile["BMI"]
    for place, count in enumerate(bins.counts):
        assert count == sum(bins.bin(value) == place for value in frame["BMI"].dropna())


def test_a_measure_is_cut_between_whole_numbers_and_into_tenths(profile: TrainingProfile) -> None:
    bins = profile["BMI"]
    assert all(cut % 1 == 0.5 and BMI.minimum < cut < BMI.maximum for cut in bins.cuts)
    assert 8 <= len(bins.counts) <= 10
    assert max(bins.counts) < 0.2 * profile.rows
    assert min(profile["probability"].counts) > 0


def test_no_row_can_be_read_from_it(profile: TrainingProfile) -> None:
    """It holds counts of one column each, and no bin of a measure with only a few rows."""
    content = json.loads(profile.to_bytes())
    assert set(content) == {"format", "rows", "distributions"}
    for each in content["distributions"]:
        assert set(each) == {"name", "cuts", "counts", "missing"}
    assert min(profile["BMI"].counts) > 50


def test_missing_answers_are_counted_apart_and_one_value_is_one_bin() -> None:
    frame = draw(100, seed=1).astype(float)
    frame["BMI"] = 30.0
    frame.loc[:9, "BMI"] = np.nan
    found = training_profile(frame, SELECTED, np.full(100, 0.25))
    assert (found["BMI"].cuts, found["BMI"].counts, found["BMI"].missing) == ((), (90,), 10)
    assert (found["probability"].cuts, found["risk"].counts) == ((), (100, 0))
    frame["BMI"] = np.nan
    assert training_profile(frame, SELECTED, np.full(100, 0.25))["BMI"].missing == 100


def test_a_survey_without_rows_is_refused() -> None:
    with pytest.raises(TrainingError, match="without rows"):
        training_profile(draw(10, seed=1).iloc[:0], SELECTED, [])


def test_it_is_read_as_it_was_written(profile: TrainingProfile) -> None:
    content = profile.to_bytes()
    assert TrainingProfile.from_bytes(content) == profile
    assert TrainingProfile.from_bytes(content).to_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(format="other"),
        lambda content: content.update(more=1),
        lambda content: content.update(rows=content["rows"] + 1),
        lambda content: content.update(rows=0),
        lambda content: content.update(rows="2000"),
        lambda content: content["distributions"].pop(),
        lambda content: content["distributions"].reverse(),
        lambda content: content["distributions"][0].update(missing=-1),
        lambda content: content["distributions"][0].update(note="x"),
        lambda content: content["distributions"][0]["counts"].append(0),
        lambda content: content["distributions"][0]["cuts"].reverse(),
        lambda content: content["distributions"][0]["cuts"].__setitem__(0, float("nan")),
        lambda content: content["distributions"][0]["cuts"].__setitem__(0, float("-inf")),
        lambda content: content["distributions"][4].update(cuts=[0.4]),
        lambda content: content["distributions"][1].update(counts=[1 << 60] * 5),
    ],
)
def test_anything_else_is_refused(change: Change, profile: TrainingProfile) -> None:
    content = json.loads(profile.to_bytes())
    change(content)
    with pytest.raises(MalformedPackage, match=r"training_profile\.json is no training profile"):
        TrainingProfile.from_bytes(json.dumps(content).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (LONGEST + 1)])
def test_what_is_no_json_of_that_form_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPackage):
        TrainingProfile.from_bytes(data)
