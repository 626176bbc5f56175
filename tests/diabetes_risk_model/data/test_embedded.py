"""The embedded survey: valid, deterministic, balanced, and true to its aggregates. Needs no real file."""

from importlib import resources

import numpy as np
import pandas as pd
import pytest

from diabetes_risk_model.data.aggregates import derive
from diabetes_risk_model.data.columns import COLUMNS, GENERAL_HEALTH, TARGET
from diabetes_risk_model.data.embedded import AGGREGATES_FILE, GROUPED, aggregates, draw
from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.data.validation import validate

ROWS = 200_000


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    return draw(ROWS, seed=3)


def test_drawn_rows_are_a_valid_survey(drawn: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(validate(drawn), drawn)
    assert list(drawn.columns) == [column.name for column in COLUMNS]


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    pd.testing.assert_frame_equal(draw(500, seed=7), draw(500, seed=7))
    assert not draw(500, seed=7).equals(draw(500, seed=8))


@pytest.mark.parametrize("rows", [2, 3, 101, 5000])
def test_half_of_the_rows_have_diabetes_in_random_order(rows: int) -> None:
    target = draw(rows, seed=42)[TARGET.name]
    assert len(target) == rows
    assert target.sum() == rows // 2
    if rows > 100:
        assert 0.3 < target.head(rows // 2).mean() < 0.7


def test_too_few_rows_and_a_negative_seed_are_refused() -> None:
    with pytest.raises(DataError, match="Cannot draw 1 rows; expected at least 2"):
        draw(1, seed=0)
    with pytest.raises(DataError, match="seed -1; expected 0 or more"):
        draw(10, seed=-1)


@pytest.mark.parametrize("diabetes", [0, 1])
def test_distributions_of_each_class_are_those_of_the_aggregates(drawn: pd.DataFrame, diabetes: int) -> None:
    groups = [group for group in aggregates()["groups"] if group[TARGET.name] == diabetes]
    rows = drawn[drawn[TARGET.name] == diabetes]
    respondents = sum(group["respondents"] for group in groups)
    for column in GROUPED:
        counts = np.sum([group["counts"][column.name] for group in groups], axis=0)
        found = np.bincount(rows[column.name] - column.minimum, minlength=len(column.values)) / len(rows)
        assert np.abs(found - counts / respondents).max() < 0.006, column.name
        assert not found[counts == 0].any(), column.name
    shares = [group["respondents"] / respondents for group in groups]
    found = rows[GENERAL_HEALTH.name].value_counts(normalize=True).sort_index()
    assert np.abs(found.to_numpy() - shares).max() < 0.006


def test_correlations_that_are_derived_from_drawn_rows_are_those_of_the_aggregates() -> None:
    # So many rows, as the smallest groups are a fortieth of their class.
    for shipped, derived in zip(aggregates()["groups"], derive(draw(4 * ROWS, seed=3)), strict=True):
        # Where nearly everybody gives the same answer, the correlation cannot be told from so many rows.
        varied = [max(shipped["counts"][column.name]) < 0.9 * shipped["respondents"] for column in GROUPED]
        compared = 0
        for row in range(len(GROUPED)):
            for other in range(row):
                if varied[row] and varied[other]:
                    expected = shipped["correlations"][row][other]
                    assert derived["correlations"][row][other] == pytest.approx(expected, abs=0.08)
                    compared += 1
        assert compared >= 50


def test_aggregates_are_small_and_hold_counts_that_add_up() -> None:
    file = resources.files("diabetes_risk_model.data").joinpath(AGGREGATES_FILE)
    assert len(file.read_bytes()) < 60_000
    content = aggregates()
    assert content["columns"] == [column.name for column in GROUPED]
    assert sum(group["respondents"] for group in content["groups"]) == content["split"]["fitted"]
    for group in content["groups"]:
        for column in GROUPED:
            counts = group["counts"][column.name]
            assert len(counts) == len(column.values)
            assert sum(counts) == group["respondents"]
