import math

import numpy as np
import pytest
from ml_base.ml_model import MLModelSchemaValidationException

import signed_parameters as sp
from diabetes_risk_model.prediction.model import DiabetesRiskModel, encode
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput, DiabetesRiskModelOutput

PERSON = DiabetesRiskModelInput(body_mass_index=31.5, general_health="FAIR", age="FROM_60_TO_64", income="UNDER_20_000")


def test_answers_are_encoded_as_the_training_columns():
    assert encode(PERSON) == (31.5, 4.0, 9.0, 3.0)
    assert all(math.isnan(value) for value in encode(DiabetesRiskModelInput()))


@pytest.mark.parametrize("engine", ["table", "onnx", "pickle"])
def test_it_predicts_what_the_pipeline_predicts(bucket, trained_model, engine):
    model = DiabetesRiskModel(**bucket.settings(engine=engine))
    for person in (PERSON, DiabetesRiskModelInput(), DiabetesRiskModelInput(age="FROM_80")):
        expected = trained_model.pipeline.predict_proba(np.array([encode(person)]))[0, 1]
        answer = model.predict(person)
        assert isinstance(answer, DiabetesRiskModelOutput)
        assert answer.probability == pytest.approx(expected, abs=1e-6)
        assert answer.diabetes_risk == ("DIABETES" if expected > 0.5 else "NO_DIABETES")


def test_it_knows_the_statement_that_it_was_loaded_by(bucket):
    model = DiabetesRiskModel(**bucket.settings())
    assert (model.statement.serial, model.key_id) == (1, bucket.key.key_id)


def test_it_loads_with_a_shared_secret(make_bucket):
    bucket = make_bucket(key=sp.SigningKey.generate("hmac-sha512"))
    settings = bucket.settings(
        parameters_verification_keys=..., parameters_signing_key=str(bucket.key.verification_key)
    )
    assert DiabetesRiskModel(**settings).predict(PERSON).probability > 0


def test_it_loads_from_an_s3_server(bucket, s3_server, s3_bucket):
    client = s3_server.settings.client()
    for path in bucket.folder.iterdir():
        client.fput_object(s3_bucket, path.name, str(path))
    settings = bucket.settings(
        model_files_bucket=s3_bucket,
        minio_url=s3_server.url,
        minio_access_key=s3_server.access_key,
        minio_secret_key=s3_server.secret_key,
    )
    assert DiabetesRiskModel(**settings).predict(PERSON).probability > 0
    with pytest.raises(sp.AccessDenied):
        DiabetesRiskModel(**{**settings, "minio_secret_key": "wrong"})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"minimum_serial": 2}, sp.RolledBack),
        ({"model_parameters_version": "2026_11_22"}, sp.NotFound),
        ({"parameters_verification_keys": [str(sp.SigningKey.generate().verification_key)]}, sp.UnknownKey),
        ({"unknown": 1}, sp.ConfigurationError),
    ],
)
def test_what_the_configuration_does_not_allow_is_refused(bucket, changes, error):
    with pytest.raises(error):
        DiabetesRiskModel(**bucket.settings(**changes))


def test_a_revoked_key_is_refused(bucket):
    with pytest.raises(sp.RevokedKey):
        DiabetesRiskModel(**bucket.settings(revoked_keys=[bucket.key.key_id]))


def test_older_parameters_under_a_newer_name_are_refused(bucket):
    for path in list(bucket.folder.iterdir()):
        path.rename(path.with_name(path.name.replace("2026_11_21", "2026_11_22")))
    with pytest.raises(sp.NameMismatch, match="expected parameters version 2026_11_22, found 2026_11_21"):
        DiabetesRiskModel(**bucket.settings(model_parameters_version="2026_11_22"))


def test_a_changed_package_is_refused(bucket):
    content = bytearray(bucket.package.read_bytes())
    content[len(content) // 2] ^= 1
    bucket.package.write_bytes(content)
    with pytest.raises(sp.DigestMismatch):
        DiabetesRiskModel(**bucket.settings())


def test_a_parameters_version_that_yaml_read_as_a_number_is_explained(bucket):
    with pytest.raises(sp.ConfigurationError, match="quotes"):
        DiabetesRiskModel(**bucket.settings(model_parameters_version=2026_11_21))


def test_what_is_not_of_the_input_schema_is_refused(bucket):
    with pytest.raises(MLModelSchemaValidationException, match="expected a DiabetesRiskModelInput, found a dict"):
        DiabetesRiskModel(**bucket.settings()).predict({"age": "FROM_80"})
