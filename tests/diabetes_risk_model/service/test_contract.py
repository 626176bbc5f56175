import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.application import build_application
from diabetes_risk_model.service.contract import contract, main

COMMITTED = Path(__file__).parents[3] / "service_contract.yaml"


def test_the_committed_contract_is_the_codes():
    assert COMMITTED.read_text() == contract(), "run `make contract`"


def test_the_contract_describes_the_prediction():
    document = yaml.safe_load(contract())
    operation = document["paths"]["/api/models/diabetes_risk_model/prediction"]["post"]
    assert set(operation["responses"]) == {"200", "400", "408", "413", "415", "500", "503"}
    assert set(operation["requestBody"]["content"]) == {"application/json"}
    schema = document["components"]["schemas"]["DiabetesRiskModelInput"]
    assert set(schema["properties"]) == set(DiabetesRiskModelInput.model_fields)
    assert schema["additionalProperties"] is False


def test_the_contract_describes_the_batch_and_says_that_it_is_ours_alone():
    operation = yaml.safe_load(contract())["paths"]["/api/models/diabetes_risk_model/predictions"]["post"]
    assert "rest_model_service does not" in operation["description"]
    assert set(operation["requestBody"]["content"]) == {"application/json", "text/csv"}
    assert operation["requestBody"]["content"]["application/json"]["schema"]["maxItems"] == 10_000
    assert set(operation["responses"]) == {"200", "400", "408", "413", "415", "500", "503"}


def test_every_refusal_in_the_contract_is_an_error():
    document = yaml.safe_load(contract())
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                assert status != "422"
                if int(status) >= 400 and "health" not in path:
                    schema = response["content"]["application/json"]["schema"]
                    error = "InferenceError" if path.startswith("/v2") else "Error"
                    assert path.endswith("/ready") or schema == {"$ref": f"#/components/schemas/{error}"}


def test_every_reference_leads_somewhere():
    document = yaml.safe_load(contract())
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert names == set(document["components"]["schemas"])


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
    assert application.openapi()["paths"] == yaml.safe_load(COMMITTED.read_text())["paths"]


def test_a_decorated_model_has_no_batch_because_that_would_go_round_its_decorator(bucket, write_configuration):
    path = write_configuration(bucket.settings())
    configuration = yaml.safe_load(path.read_text())
    configuration["models"][0]["decorators"] = [{"class_path": "ml_base.MLModelDecorator"}]
    path.write_text(yaml.safe_dump(configuration))
    paths = build_application(path).openapi()["paths"]
    assert "/api/models/diabetes_risk_model/prediction" in paths
    assert "/api/models/diabetes_risk_model/predictions" not in paths
