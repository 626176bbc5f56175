"""How far the distributions of a batch lie from those of the training rows.

The population stability index sums (b - t) * ln(b / t) over the bins, b and t being the shares of batch and training
rows. Banks use it to watch their scorecards, and call less than 0.1 stable, and 0.25 or more a shift: a convention,
with no theory behind the two numbers. Where rows are few it is large by chance. So a shift counts only where the
chi-square test of homogeneity says that chance would hardly make it. With many rows that test calls everything a shift,
and the index decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from diabetes_risk_model.drift.training_profile import Distribution

_HALF = 0.5


class Status(StrEnum):
    """What came of a comparison."""

    STABLE = "stable"
    MOVED = "moved"
    DRIFT = "drift"


@dataclass(frozen=True)
class Thresholds:
    """What counts as drift.

    Attributes:
        moved: population stability index from which a distribution has moved.
        drift: index from which it has drifted.
        significance: no shift that chance makes as often as this, or more often, counts: a probability.
        missing: by so much the share of missing answers may be above that of training, 0 to 1.
        rejected: this share of the rows may be rejected, 0 to 1.
    """

    moved: float = 0.1
    drift: float = 0.25
    significance: float = 0.01
    missing: float = 0.05
    rejected: float = 0.05


@dataclass(frozen=True)
class Compared:
    """A column, or a kind of prediction, of the batch beside training.

    Attributes:
        training: its distribution in the training rows.
        batch: the same of the batch, in the same bins.
        index: population stability index; None where the batch has no values.
        p_value: of the chi-square test; None likewise.
        status: what follows.
        reason: why, in words; empty where it is stable.
    """

    training: Distribution
    batch: Distribution
    index: float | None
    p_value: float | None
    status: Status
    reason: str


def compare(training: Distribution, batch: Distribution, thresholds: Thresholds) -> Compared:
    """Compare the distribution of a batch with that of the training rows.

    Args:
        training: in bins.
        batch: in the same bins.
        thresholds: what counts as drift.
    """
    values = sum(batch.counts)
    index = p_value = None
    status, reason = Status.STABLE, ""
    if values and sum(training.counts):
        index = stability_index(training.counts, batch.counts)
        p_value = chance_of(training.counts, batch.counts)
        if index >= thresholds.moved and p_value < thresholds.significance:
            status = Status.DRIFT if index >= thresholds.drift else Status.MOVED
            limit = thresholds.drift if status is Status.DRIFT else thresholds.moved
            reason = f"the index is {index:.3f}, expected less than {limit:g}"
    more = batch.missing_share - training.missing_share
    if more > thresholds.missing:
        status = Status.DRIFT
        missing = f"{batch.missing_share:.1%} are missing, expected at most {training.missing_share:.1%} and " + (
            f"{thresholds.missing:.1%} more"
        )
        reason = f"{reason}; {missing}" if reason else missing
    return Compared(training, batch, index, p_value, status, reason)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of some."""
    return max(statuses, key=list(Status).index, default=Status.STABLE)


def stability_index(training: Iterable[int], batch: Iterable[int]) -> float:
    """Return the population stability index of two counts of the same bins, neither of them without a row.

    To each bin half a row is added, so that an empty one has a logarithm.
    """
    expected, found = _shares(training), _shares(batch)
    return math.fsum((b - t) * math.log(b / t) for t, b in zip(expected, found, strict=True))


def chance_of(training: Iterable[int], batch: Iterable[int]) -> float:
    """Return how probable it is that chance makes two counts at least as different: a chi-square test of homogeneity.

    Bins in which there is nothing at all are left out. With fewer than two others there is no difference: 1.
    """
    from scipy.stats import chi2_contingency

    bins = [pair for pair in zip(training, batch, strict=True) if any(pair)]
    if len(bins) < 2:
        return 1.0
    return float(chi2_contingency(list(zip(*bins, strict=True)), correction=False).pvalue)


def described(compared: Compared) -> dict[str, object]:
    """Return a comparison as JSON has it."""
    return {
        "name": compared.training.name,
        "status": compared.status.value,
        "reason": compared.reason,
        "population_stability_index": compared.index,
        "chi_square_p_value": compared.p_value,
        "missing_share": compared.batch.missing_share,
        "training_missing_share": compared.training.missing_share,
        "cuts": list(compared.training.cuts),
        "training_counts": list(compared.training.counts),
        "counts": list(compared.batch.counts),
    }


def _shares(counts: Iterable[int]) -> list[float]:
    smoothed = [count + _HALF for count in counts]
    total = math.fsum(smoothed)
    return [count / total for count in smoothed]
