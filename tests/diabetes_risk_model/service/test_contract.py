from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from ml_base.utilities import ModelManager

from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.application import build_application
from diabetes_risk_model.service.contract import contract, main

COMMITTED = Path(__file__).parents[3] / "service_contract.yaml"


def test_the_committed_contract_is_the_codes():
    assert COMMITTED.read_text() == contract(), "run `make contract`"


def test_the_contract_describes_the_prediction():
    document = yaml.safe_load(contract())
    operation = document["paths"]["/api/models/diabetes_risk_model/prediction"]["post"]
    assert set(operation["responses"]) >= {"200", "400", "500"}
    schema = document["components"]["schemas"]["DiabetesRiskModelInput"]
    assert set(schema["properties"]) == set(DiabetesRiskModelInput.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("content", [None, "openapi: 3.1.0\n"])
def test_check_finds_drift_and_writes_nothing(tmp_path, content):
    path = tmp_path / "contract.yaml"
    if content is not None:
        path.write_text(content)
    result = CliRunner().invoke(main, [str(path), "--check"])
    assert (result.exit_code, path.exists()) == (1, content is not None)
    assert "make contract" in result.output


def test_it_writes_what_check_accepts(tmp_path):
    path = tmp_path / "contract.yaml"
    assert CliRunner().invoke(main, [str(path)]).exit_code == 0
    assert CliRunner().invoke(main, [str(path), "--check"]).exit_code == 0


def test_our_application_serves_the_same_contract(bucket, write_configuration):
    application = build_application(write_configuration(bucket.settings()))
    try:
        ours = application.openapi()["paths"]
    finally:
        ModelManager.clear_instance()
    assert ours == yaml.safe_load(COMMITTED.read_text())["paths"]
