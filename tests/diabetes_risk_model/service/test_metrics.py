import json
import sys

import pytest

from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput, DiabetesRiskModelOutput
from diabetes_risk_model.service.configuration import CheckedModel, LoadingRetries
from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.metrics import ServiceMetrics, label_of
from signed_parameters import ConfigurationError

MODEL = "/api/models/diabetes_risk_model"


def get(http, service, path):
    return http.exchange(service, http.request(path, b"", method="GET"))


def figures(http, service):
    reply = get(http, service, "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    lines = [line for line in reply.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_requests_are_counted_by_template_and_status(limited, http):
    before = figures(http, limited)
    for body in (b"{}", b"{}", b"{"):
        http.exchange(limited, http.request(f"{MODEL}/prediction", body))
    after = figures(http, limited)
    for status, expected in ((200, 2), (400, 1)):
        key = f'http_requests_total{{method="POST",path="{MODEL}/prediction",status="{status}"}}'
        assert after[key] - before.get(key, 0) == expected
    key = f'http_request_duration_seconds_count{{path="{MODEL}/prediction"}}'
    assert after[key] - before.get(key, 0) == 3


def test_predictions_are_counted_by_their_answer(limited, http):
    def counted():
        found = figures(http, limited)
        name = 'model_predictions_total{answer="%s",model="diabetes_risk_model"}'
        return {answer: found.get(name % answer, 0) for answer in ("DIABETES", "NO_DIABETES")}

    before = counted()
    ill = {"age": "FROM_80", "general_health": "POOR", "body_mass_index": 45}
    well = {"age": "FROM_18_TO_24", "general_health": "EXCELLENT", "body_mass_index": 20}
    batch = json.dumps([ill, ill, well, {"age": 1}]).encode()
    replies = [http.exchange(limited, http.request(f"{MODEL}/predictions", batch)).json["predictions"]]
    replies.append([http.exchange(limited, http.request(f"{MODEL}/prediction", json.dumps(ill).encode())).json])
    answers = [answer["diabetes_risk"] for reply in replies for answer in reply if answer is not None]
    after = counted()
    assert {name: after[name] - before[name] for name in after} == {name: answers.count(name) for name in after}
    assert set(answers) == {"DIABETES", "NO_DIABETES"}


def test_the_package_is_told(limited, http):
    found = figures(http, limited)
    labels = '{model="diabetes_risk_model",parameters_version="2026_11_21"}'
    assert found["service_ready"] == 1
    assert found[f"model_package_verified{labels}"] == 1
    assert found[f"model_package_serial{labels}"] == 1
    assert 0 <= found[f"model_package_age_seconds{labels}"] < 3_600


def test_what_a_client_writes_never_becomes_a_series(limited, http):
    for number in range(50):
        get(http, limited, f"/secret-{number}")
        get(http, limited, f"{MODEL}-{number}/metadata")
    names = list(figures(http, limited))
    assert not [name for name in names if "secret-" in name or "model-" in name]
    assert 'http_requests_total{method="GET",path="unknown",status="404"}' in names


@pytest.fixture
def loading(bucket):
    model = CheckedModel(
        class_path="diabetes_risk_model.prediction.model.DiabetesRiskModel",
        create_endpoint=True,
        configuration=bucket.settings(minimum_serial=2),
    )
    return ModelLoading([model], LoadingRetries())


def test_a_refusal_is_counted_by_its_class(loading):
    metrics = ServiceMetrics(loading)
    loading._run()
    text = metrics.exposition()[0].decode()
    assert 'model_loading_failures_total{reason="RolledBack"} 1.0' in text
    assert "service_ready 0.0" in text
    assert "model_package_serial{" not in text


def test_two_services_of_one_process_do_not_share_figures(loading):
    one, other = ServiceMetrics(loading), ServiceMetrics(loading)
    one.count_predictions("m", {"YES": 2})
    assert 'model_predictions_total{answer="YES",model="m"} 2.0' in one.exposition()[0].decode()
    assert "YES" not in other.exposition()[0].decode()


def test_the_missing_library_is_named(loading, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match="prometheus-client, which is not installed"):
        ServiceMetrics(loading)


def test_predictions_are_counted_by_an_enumeration():
    assert label_of(DiabetesRiskModelOutput) == "diabetes_risk"
    assert label_of(DiabetesRiskModelInput) is None
