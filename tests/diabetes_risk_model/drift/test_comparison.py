"""The two measures, against what they are by definition, and what follows from them."""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from diabetes_risk_model.drift.comparison import Status, Thresholds, chance_of, compare, stability_index, worst
from diabetes_risk_model.drift.training_profile import Distribution, distribution

THRESHOLDS = Thresholds()


def counted(*counts: int, missing: int = 0) -> Distribution:
    return distribution("Age", [float(cut) for cut in range(1, len(counts))], counts, missing)


def test_the_index_of_two_bins_is_what_the_formula_gives() -> None:
    rows = 10**9  # beside which the half row is nothing
    found = stability_index([rows // 2, rows // 2], [rows * 3 // 4, rows // 4])
    assert found == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5), rel=1e-6)
    assert stability_index([3, 4, 5], [3, 4, 5]) == 0
    assert stability_index([30, 40, 50], [300, 400, 500]) == pytest.approx(0, abs=1e-3)


def test_an_empty_bin_makes_the_index_large_and_finite() -> None:
    assert 1 < stability_index([1_000, 1_000], [2_000, 0]) < 10


def test_the_chance_is_that_of_the_chi_square_test() -> None:
    training, batch = np.array([30, 50, 20]), np.array([20, 50, 40])
    expected = np.outer([100, 110], training + batch) / 210
    statistic = ((np.array([training, batch]) - expected) ** 2 / expected).sum()
    assert chance_of(training.tolist(), batch.tolist()) == pytest.approx(chi2.sf(statistic, 2))
    assert chance_of([5, 0, 5], [5, 0, 5]) == 1.0
    assert chance_of([5], [7]) == 1.0


def test_a_small_batch_of_the_same_kind_is_not_called_drift_though_its_index_is_large() -> None:
    """The index alone would raise the alarm for a good part of all small batches."""
    random, shares = np.random.default_rng(5), np.full(13, 1 / 13)
    training = counted(*random.multinomial(50_000, shares).tolist())
    found = [compare(training, counted(*random.multinomial(40, shares).tolist()), THRESHOLDS) for _ in range(300)]
    alone = sum(each.index is not None and each.index >= THRESHOLDS.drift for each in found)
    assert alone > 100
    assert sum(each.status is Status.DRIFT for each in found) < 15


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        ((5_000, 5_000), Status.STABLE),
        ((5_500, 4_500), Status.STABLE),  # surely not chance, and small
        ((6_700, 3_300), Status.MOVED),
        ((7_600, 2_400), Status.DRIFT),
        ((10_000, 0), Status.DRIFT),
    ],
)
def test_the_index_decides_where_rows_are_many(batch: tuple[int, int], status: Status) -> None:
    found = compare(counted(50_000, 50_000), counted(*batch), THRESHOLDS)
    assert found.status is status
    assert ("expected less than" in found.reason) == (status is not Status.STABLE)


def test_missing_answers_are_drift_where_they_are_many_more_than_in_training() -> None:
    training = counted(450, 450, missing=100)
    assert compare(training, counted(430, 430, missing=140), THRESHOLDS).status is Status.STABLE
    found = compare(training, counted(400, 400, missing=200), THRESHOLDS)
    assert (found.status, found.reason) == (Status.DRIFT, "20.0% are missing, expected at most 10.0% and 5.0% more")


def test_a_batch_without_values_has_no_index() -> None:
    found = compare(counted(1, 1), counted(0, 0, missing=5), THRESHOLDS)
    assert (found.index, found.p_value, found.status) == (None, None, Status.DRIFT)
    assert compare(counted(1, 1), counted(0, 0), THRESHOLDS).status is Status.STABLE


def test_the_worst_of_some() -> None:
    assert worst([Status.STABLE, Status.DRIFT, Status.MOVED]) is Status.DRIFT
    assert worst([Status.MOVED, Status.STABLE]) is Status.MOVED
    assert worst([]) is Status.STABLE
