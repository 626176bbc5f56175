"""The direct path to the model's answer goes round nothing that was configured."""

import json

import yaml

from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
PREDICTION = "/api/models/diabetes_risk_model/prediction"
PERSON = {"body_mass_index": 31.5, "general_health": "FAIR", "age": "FROM_60_TO_64"}
DECORATOR = """
from ml_base import MLModelDecorator


class Certain(MLModelDecorator):
    def predict(self, data):
        answer = self._model.predict(data)
        answer.probability = 0.125
        return answer
"""


def test_a_decorator_sees_every_prediction(http, bucket, tmp_path, write_configuration):
    (tmp_path / "certain.py").write_text(DECORATOR)
    path = write_configuration(bucket.settings())
    configuration = yaml.safe_load(path.read_text())
    configuration["models"][0]["decorators"] = [{"class_path": "certain.Certain"}]
    path.write_text(yaml.safe_dump(configuration))
    with ServiceProcess(OURS, path, {"PYTHONPATH": str(tmp_path)}) as service:
        replies = [
            http.exchange(service, http.request(PREDICTION, json.dumps(body).encode())) for body in (PERSON, {}, {})
        ]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert [reply.json["probability"] for reply in replies] == [0.125, 0.125, 0.125]


def test_without_one_the_answer_is_the_models(limited, served_model, http):
    expected = served_model.model.predict(DiabetesRiskModelInput(**PERSON)).model_dump(mode="json")
    # Written as no fast way expects it, and as nearly everybody writes it.
    for body in (json.dumps(PERSON), f" {json.dumps(PERSON)}\n", json.dumps({**PERSON, "income": None}, indent=1)):
        reply = http.exchange(limited, http.request(PREDICTION, body.encode()))
        assert (reply.status, reply.json) == (200, expected)
