"""How much work a training run does. Profiles differ in rows, folds, candidates and tuning, and in nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from diabetes_risk_model.training.errors import TrainingError


@dataclass(frozen=True)
class Profile:
    """How much work a training run does.

    Attributes:
        name: what a user asks for, such as "quick".
        rows: largest number of survey rows to train on; None for all of them.
        folds: number of cross-validation folds, at least 2.
        candidates: pycaret's names of the estimators that `compare` tries.
        tuning_iterations: how many sets of hyperparameters `tune` tries.
        report_rows: largest number of survey rows that the data report describes.
    """

    name: str
    rows: int | None
    folds: int
    candidates: tuple[str, ...]
    tuning_iterations: int
    report_rows: int


QUICK = Profile(
    "quick", rows=20_000, folds=3, candidates=("gbc", "lightgbm", "lr"), tuning_iterations=2, report_rows=5_000
)
FULL = Profile(
    "full",
    rows=None,
    folds=10,
    candidates=("gbc", "lightgbm", "ada", "lr", "lda", "ridge", "nb", "dt"),
    tuning_iterations=5,
    report_rows=20_000,
)
PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in (QUICK, FULL)})


def find_profile(profile: str | Profile) -> Profile:
    """Return the profile of this name; a profile is returned as it is.

    Raises:
        TrainingError: if there is no such profile.
    """
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise TrainingError(f"There is no training profile {profile!r}; expected one of: {', '.join(PROFILES)}.")
    return PROFILES[profile]
