import pytest

from diabetes_risk_model.training.errors import TrainingError
from diabetes_risk_model.training.profiles import FULL, PROFILES, QUICK, find_profile
from diabetes_risk_model.training.train import ESTIMATOR


def test_profiles_are_found_by_name():
    assert find_profile("quick") is QUICK
    assert find_profile("full") is FULL
    assert find_profile(QUICK) is QUICK


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(TrainingError, match="no training profile 'fast'; expected one of: quick, full"):
        find_profile("fast")


def test_full_takes_every_row_and_ten_folds():
    assert (FULL.rows, FULL.folds) == (None, 10)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_profile_tries_the_estimator_that_is_trained(profile):
    assert ESTIMATOR in profile.candidates
    assert len(set(profile.candidates)) == len(profile.candidates)
