"""Both entry points, as real processes: `rest_model_service.main:app` and `diabetes_risk_model.service.main:app`."""

import json
import time
import urllib.error
import urllib.request

import pytest

from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
THEIRS = "rest_model_service.main:app"
PREDICTION = "/api/models/diabetes_risk_model/prediction"
PERSON = {"body_mass_index": 31.5, "general_health": "FAIR", "age": "FROM_60_TO_64", "income": "UNDER_20_000"}


def ask(service, body, content_type="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(service.url + PREDICTION, data, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(params=[OURS, THEIRS])
def application(request):
    return request.param


@pytest.mark.parametrize("engine", ["onnx", "pickle"])
def test_a_service_gives_the_models_answers(application, engine, bucket, write_configuration):
    settings = bucket.settings(engine=engine)
    model = DiabetesRiskModel(**settings)
    with ServiceProcess(application, write_configuration(settings)) as service:
        for person in (PERSON, {}, {"age": None, "general_health": "POOR"}):
            expected = model.predict(DiabetesRiskModelInput(**person)).model_dump(mode="json")
            assert ask(service, person) == (200, expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("body_mass_index", 9),
        ("body_mass_index", "28"),
        ("general_health", "SPLENDID"),
        ("age", 41),
        ("income", "A LOT"),
        ("weight", 80),
    ],
)
def test_what_does_not_fit_gets_400_with_the_fields_name(served, field, value):
    status, answer = ask(served, {**PERSON, field: value})
    assert status == 400
    assert answer["type"] == "ValidationError"
    assert len(answer["messages"]) == 1
    assert field in answer["messages"][0]


@pytest.fixture(scope="module", params=[OURS, THEIRS])
def served(request, tmp_path_factory, trained_model):
    """One service for several tests, to save starting it for each."""
    yield from _serve(request.param, tmp_path_factory, trained_model)


@pytest.fixture(scope="module")
def ours(tmp_path_factory, trained_model):
    yield from _serve(OURS, tmp_path_factory, trained_model)


def _serve(application, tmp_path_factory, trained_model):
    import yaml

    from diabetes_risk_model.packaging import package_parameters
    from signed_parameters import SigningKey

    folder = tmp_path_factory.mktemp("served")
    key = SigningKey.generate()
    package_parameters(trained_model.files, folder, key=key, parameters_version="2026_11_21", serial=1)
    model = {
        "class_path": "diabetes_risk_model.prediction.model.DiabetesRiskModel",
        "create_endpoint": True,
        "configuration": {
            "model_parameters_version": "2026_11_21",
            "model_files_bucket": f"file://{folder}",
            "parameters_verification_keys": [str(key.verification_key)],
        },
    }
    configuration = folder / "rest_config.yaml"
    configuration.write_text(yaml.safe_dump({"models": [model]}))
    with ServiceProcess(application, configuration) as service:
        yield service


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"null",
        b"[]",
        b"3",
        b'{"age": }',
        b"\xff\xfe",
        b'{"age": "FROM_80"} tail',
        b'{"body_mass_index": NaN}',
    ],
)
def test_a_body_that_is_no_answer_sheet_gets_400(ours, body):
    status, answer = ask(ours, body)
    assert status == 400, answer
    assert answer["type"] == "ValidationError"


def test_an_answer_never_repeats_what_was_sent(ours):
    status, answer = ask(ours, {"general_health": "A-PATIENTS-SECRET", "body_mass_index": 9.87654})
    assert status == 400
    assert "A-PATIENTS-SECRET" not in json.dumps(answer)
    assert "9.87654" not in json.dumps(answer)
    assert "A-PATIENTS-SECRET" not in ours.log()


def refused_service(application, configuration, environment=None, until=ServiceProcess.refuses):
    """Start a service that is expected to refuse, and wait until it says so."""
    service = ServiceProcess(application, configuration, environment, wait_ready=False)
    service.start()
    deadline = time.monotonic() + 60
    while not until(service) and time.monotonic() < deadline:
        time.sleep(0.05)
    return service


def assert_refuses(service, reason):
    with service:
        assert service.status("/api/health/ready") == 503
        assert ask(service, PERSON)[0] in (404, 503)
    assert reason in service.log()  # which is complete when the service has ended


def test_a_tampered_package_is_never_served(application, bucket, write_configuration):
    content = bytearray(bucket.package.read_bytes())
    content[100] ^= 1
    bucket.package.write_bytes(content)
    assert_refuses(refused_service(application, write_configuration(bucket.settings())), "DigestMismatch")


def test_a_missing_variable_is_named_in_the_log(application, bucket, write_configuration):
    path = write_configuration(bucket.settings(parameters_verification_keys="${NOBODY_SET_THIS}"))
    assert_refuses(refused_service(application, path), "NOBODY_SET_THIS is missing")


def test_storage_that_is_down_is_named_in_the_log_and_no_secret(application, bucket, write_configuration):
    path = write_configuration(
        bucket.settings(
            model_files_bucket="model-files",
            minio_url="http://127.0.0.1:9",
            minio_access_key="somebody",
            minio_secret_key="${A_SECRET}",
        )
    )

    def has_tried(service):
        return "Unavailable" in service.log()

    service = refused_service(application, path, {"A_SECRET": "not-to-be-logged"}, has_tried)
    assert_refuses(service, "Unavailable: http://127.0.0.1:9 does not answer")
    assert "not-to-be-logged" not in service.log()
