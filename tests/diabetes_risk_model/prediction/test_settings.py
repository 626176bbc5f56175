import pytest

from diabetes_risk_model.prediction.settings import Settings
from signed_parameters import ConfigurationError, SigningKey

PUBLIC = str(SigningKey.generate().verification_key)
SECRET = str(SigningKey.generate("hmac-sha512").verification_key)
GOOD = {
    "model_parameters_version": "2026_11_21",
    "model_files_bucket": "model-files",
    "minio_url": "http://127.0.0.1:9000",
    "parameters_verification_keys": [PUBLIC],
}


def changed(**changes):
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}


def test_a_bucket_by_name_is_one_of_the_s3_server():
    assert Settings.from_keywords(GOOD).location == "s3://model-files"


def test_a_bucket_by_address_needs_no_server():
    settings = Settings.from_keywords(changed(model_files_bucket="file:///models", minio_url=...))
    assert settings.location == "file:///models"


def test_variables_are_filled_in_everywhere(monkeypatch):
    monkeypatch.setenv("A_KEY", PUBLIC)
    monkeypatch.setenv("A_SERIAL", "7")
    monkeypatch.setenv("A_HOST", "minio")
    settings = Settings.from_keywords(
        changed(
            parameters_verification_keys=["${A_KEY}"], minimum_serial="${A_SERIAL}", minio_url="http://${A_HOST}:9000"
        )
    )
    assert (settings.minimum_serial, settings.minio_url) == (7, "http://minio:9000")
    assert [str(key) for key in settings.trusted_keys] == [PUBLIC]


def test_the_path_of_a_policy_file_may_come_from_a_variable(monkeypatch):
    monkeypatch.setenv("POLICIES", "/etc/policies")
    settings = Settings.from_keywords(changed(parameters_verification_keys=..., trust_policy="${POLICIES}/model.yaml"))
    assert settings.trust_policy == "/etc/policies/model.yaml"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named_with_its_setting(monkeypatch, value):
    monkeypatch.delenv("NOT_THERE", raising=False)
    if value is not None:
        monkeypatch.setenv("NOT_THERE", value)
    with pytest.raises(ConfigurationError, match=r"NOT_THERE is missing.*minio_secret_key"):
        Settings.from_keywords(changed(minio_secret_key="${NOT_THERE}"))


def test_several_keys_may_stand_in_one_text():
    other = str(SigningKey.generate().verification_key)
    settings = Settings.from_keywords(changed(parameters_verification_keys=f"{PUBLIC}, {other}"))
    assert [str(key) for key in settings.trusted_keys] == [PUBLIC, other]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"parameters_signing_key": SECRET},
            "expected one of .*, found parameters_signing_key and parameters_verification_keys",
        ),
        ({"parameters_verification_keys": ...}, "found none"),
        ({"parameters_verification_keys": ""}, "found none"),
        ({"trust_policy": "policy.yaml"}, "found parameters_verification_keys and trust_policy"),
        ({"parameters_verification_keys": ..., "trust_policy": ""}, "'trust_policy'"),
        (
            {"parameters_verification_keys": ..., "trust_policy": "policy.yaml", "minimum_serial": 0},
            "expected minimum_serial in the file that trust_policy names",
        ),
        (
            {"parameters_verification_keys": ..., "trust_policy": "policy.yaml", "revoked_keys": ["0" * 32]},
            "expected revoked_keys in the file that trust_policy names",
        ),
        ({"minio_url": ...}, "expected minio_url"),
        ({"bucket": "x"}, "unknown key 'bucket'.*model_files_bucket"),
        ({"engine": "tensorflow"}, "'engine'"),
        ({"minimum_serial": -1}, "'minimum_serial'"),
        ({"minimum_serial": "latest"}, "'minimum_serial'"),
        ({"model_parameters_version": ...}, "'model_parameters_version'"),
        ({"model_parameters_version": 3}, "'model_parameters_version'"),
    ],
)
def test_a_mistake_is_named(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        Settings.from_keywords(changed(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters_verification_keys": [SECRET]}, "parameters_verification_keys holds a key of the wrong kind"),
        (
            {"parameters_verification_keys": ..., "parameters_signing_key": PUBLIC},
            "parameters_signing_key holds a key of the wrong kind",
        ),
        ({"parameters_verification_keys": ["nonsense"]}, "expected ALGORITHM:BASE64URL"),
    ],
)
def test_a_key_of_the_wrong_kind_is_refused(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        _ = Settings.from_keywords(changed(**changes)).trusted_keys


def test_the_engine_is_onnx_unless_another_is_named():
    assert Settings.from_keywords(GOOD).engine == "onnx"
    for engine in ("table", "onnx", "pickle"):
        assert Settings.from_keywords(changed(engine=engine)).engine == engine


def test_secrets_are_not_shown():
    settings = Settings.from_keywords(
        changed(parameters_verification_keys=..., parameters_signing_key=SECRET, minio_secret_key="hidden-secret")
    )
    assert "hidden-secret" not in repr(settings)
    assert SECRET not in repr(settings)
