"""What was refused, in words for who promotes, and for how long: the same package is tried again later and later."""

import time
from dataclasses import dataclass

from diabetes_risk_model.promotion.policies import policy_path
from signed_parameters import RolledBack, SignedParametersError, TooFewSignatures

_FIRST_SECONDS = 60.0
_LONGEST_SECONDS = 3_600.0
Cause = tuple[object, ...]


@dataclass(frozen=True)
class _Refusal:
    cause: Cause
    reason: str
    pause: float
    again: float


class Refusals:
    """The last refusal of each stage, while this process lives. Anything new about a version is looked at at once."""

    def __init__(self) -> None:
        self._by_stage: dict[str, _Refusal] = {}

    def waiting(self, stage: str, cause: Cause) -> str | None:
        """Return why a stage's version was refused, if nothing is new and it is not yet time to try again."""
        last = self._by_stage.get(stage)
        return last.reason if last is not None and last.cause == cause and time.monotonic() < last.again else None

    def note(self, stage: str, cause: Cause, reason: str) -> None:
        """Remember a refusal. The pause after it is twice the one before, where the cause is the same."""
        last = self._by_stage.get(stage)
        again = last is not None and last.cause == cause
        pause = min(2 * last.pause, _LONGEST_SECONDS) if last is not None and again else _FIRST_SECONDS
        self._by_stage[stage] = _Refusal(cause, reason, pause, time.monotonic() + pause)

    def forget(self, stage: str) -> None:
        """Forget a stage's refusal."""
        self._by_stage.pop(stage, None)


def explained(error: SignedParametersError, stage: str, number: str) -> SignedParametersError:
    """Return an error whose remedy is one of promotion, where there is one.

    Args:
        error: why a version is refused.
        stage: for which stage.
        number: of the version.
    """
    remedies: dict[type[SignedParametersError], str] = {
        TooFewSignatures: "Let somebody else whose key the policy trusts approve it: "
        f"promote approve {number} --alias {stage} --key FILE.",
        RolledBack: f"To go back, commit a minimum_serial to {policy_path(stage)}, after a review, "
        "while the alias means the older version.",
    }
    remedy = remedies.get(type(error))
    if remedy is None:
        return error
    return type(error)(error.problem, expected=error.expected, found=error.found, remedy=remedy)
