from pathlib import Path

import pytest
import yaml
from rest_model_service.configuration import ServiceConfiguration

from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.service.configuration import configuration_path, read_configuration
from signed_parameters import ConfigurationError

FILES = sorted((Path(__file__).parents[3] / "configuration").glob("*rest_config.yaml"))


def test_there_is_a_configuration_for_each_place():
    assert [path.name for path in FILES] == [
        "docker_rest_config.yaml",
        "kubernetes_rest_config.yaml",
        "rest_config.yaml",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_are_read_and_know_the_models_settings(path):
    (model,) = read_configuration(path).models
    assert model.class_path == "diabetes_risk_model.prediction.model.DiabetesRiskModel"
    assert set(model.configuration) <= set(Settings.model_fields)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_hold_references_to_secrets_and_no_secrets(path):
    (model,) = read_configuration(path).models
    for name in ("minio_access_key", "minio_secret_key"):
        assert model.configuration[name].startswith("${")


def test_the_path_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("REST_CONFIG", "elsewhere.yaml")
    assert configuration_path() == Path("elsewhere.yaml")
    monkeypatch.delenv("REST_CONFIG")
    assert configuration_path() == Path("rest_config.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("service_title: x\nmodels: []\n", "models"),
        ("service_title: x\n", "models"),
        ("modells: []\n", "modells|models"),
        ("models:\n  - class_path: a.B\n    create_endpoint: true\n    config: {}\n", "models.0.config"),
        ("a: [1\n", "not YAML at line"),
        ("just text", "its top"),
        ("!!python/object/apply:os.system [echo]", "expected no tags"),
        ("models: []\nmodels: []\n", "at models .* each key once"),
        ("service_title: 2026_11_21\n", "at service_title .* Put it in quotes"),
        ("", "its top"),
    ],
)
def test_a_mistake_is_named(tmp_path, text, message):
    path = tmp_path / "rest_config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="REST_CONFIG"):
        read_configuration(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits: {batch_row: 1}", "limits.batch_row"),
        ("limits: {batch_rows: 0}", "limits.batch_rows"),
        ("limits: {body_seconds: .nan}", "limits.body_seconds"),
        ("limits: {body_seconds: .inf}", "limits.body_seconds"),
        ("retries: {first_seconds: -1}", "retries.first_seconds"),
        ("retries: {longest_seconds: soon}", "retries.longest_seconds"),
        ("log_requests: 7", "log_requests"),
    ],
)
def test_a_mistake_in_what_our_application_adds_is_named(tmp_path, text, message):
    path = tmp_path / "rest_config.yaml"
    path.write_text(f"models:\n  - {{class_path: a.B, create_endpoint: true}}\n{text}\n")
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(path)


def test_rest_model_service_passes_over_what_our_application_adds(tmp_path):
    text = "models:\n  - {class_path: a.B, create_endpoint: true}\nlimits: {batch_rows: 7}\nlog_requests: true\n"
    path = tmp_path / "rest_config.yaml"
    path.write_text(text)
    assert read_configuration(path).limits.batch_rows == 7
    assert ServiceConfiguration(**yaml.safe_load(text)).models[0].class_path == "a.B"
