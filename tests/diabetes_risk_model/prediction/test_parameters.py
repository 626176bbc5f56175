"""The model's parameters, under a trust policy from a file."""

import pytest
import yaml

import signed_parameters as sp
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.parameters import trust_policy
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.service.configuration import read_configuration


@pytest.fixture
def with_policy(bucket, tmp_path):
    """`with_policy(minimum_serial=2)` writes a policy file that trusts the bucket's key, and returns the settings."""

    def settings(**changes):
        path = tmp_path / "policy.yaml"
        fields = {"name": "diabetes_risk_model", "keys": [str(bucket.key.verification_key)], **changes}
        path.write_text(yaml.safe_dump(fields))
        return bucket.settings(parameters_verification_keys=..., trust_policy=str(path))

    return settings


def test_it_loads_what_the_policy_file_trusts(with_policy, bucket):
    model = DiabetesRiskModel(**with_policy(version=">=0.1,<1", parameters_version="2026_11_21", minimum_serial=1))
    assert model.key_id == bucket.key.key_id


def test_the_path_may_come_from_a_variable(with_policy, monkeypatch):
    settings = with_policy()
    monkeypatch.setenv("POLICY_FILE", settings["trust_policy"])
    assert DiabetesRiskModel(**{**settings, "trust_policy": "${POLICY_FILE}"}).statement.serial == 1


def test_a_relative_path_starts_from_the_working_folder(with_policy, monkeypatch, tmp_path):
    settings = with_policy()
    monkeypatch.chdir(tmp_path)
    assert DiabetesRiskModel(**{**settings, "trust_policy": "policy.yaml"}).statement.serial == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"minimum_serial": 2}, sp.RolledBack),
        ({"keys": [str(sp.SigningKey.generate().verification_key)]}, sp.UnknownKey),
        ({"signature_algorithms": ["hmac-sha512"]}, sp.UnknownKey),
        ({"digest_algorithms": ["sha256"]}, sp.MalformedPackage),
        ({"allowed_globals": []}, sp.UnsafePickle),
        ({"limits": {"package_bytes": 1}}, sp.TooLarge),
    ],
)
def test_what_the_policy_file_does_not_allow_is_refused(with_policy, changes, error):
    with pytest.raises(error):
        DiabetesRiskModel(**with_policy(**changes))


def test_a_key_that_the_policy_file_revokes_is_refused(with_policy, bucket):
    with pytest.raises(sp.RevokedKey):
        DiabetesRiskModel(**with_policy(revoked_keys=[bucket.key.key_id]))


def test_a_policy_file_does_not_loosen_what_the_model_asks_for(with_policy):
    policy = trust_policy(Settings.from_keywords(with_policy(version=">=0")))
    assert (policy.name, policy.parameters_version) == ("diabetes_risk_model", "2026_11_21")
    assert policy.version == f"=={DiabetesRiskModel.version}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other_model"}, "at name: expected diabetes_risk_model, found other_model"),
        ({"version": ">=99"}, "at version: expected a range with .*, found >=99"),
        ({"parameters_version": "2026_11_22"}, "at parameters_version: expected 2026_11_21.*found 2026_11_22"),
        ({"minimum_serail": 3}, "unknown key minimum_serail"),
    ],
)
def test_a_policy_file_that_is_not_this_model_s_is_refused(with_policy, changes, message):
    with pytest.raises(sp.ConfigurationError, match=message):
        DiabetesRiskModel(**with_policy(**changes))


def test_a_policy_file_that_is_missing_is_named(with_policy):
    with pytest.raises(sp.ConfigurationError, match=r"missing\.yaml cannot be read"):
        DiabetesRiskModel(**{**with_policy(), "trust_policy": "missing.yaml"})


def test_the_service_s_configuration_leads_to_the_policy_file(with_policy, write_configuration):
    (model,) = read_configuration(write_configuration(with_policy())).models
    assert DiabetesRiskModel(**model.configuration).statement.serial == 1
