import json
import math
import random

import pytest
from pydantic import ValidationError

from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.plain import plain_answer
from diabetes_risk_model.prediction.schemas import Age, DiabetesRiskModelInput, DiabetesRiskModelOutput, Income


@pytest.mark.parametrize("engine", ["table", "onnx", "pickle"])
def test_a_plain_answer_is_the_answer_of_predict(bucket, engine):
    model = DiabetesRiskModel(**bucket.settings(engine=engine))
    source = random.Random(1)
    for _ in range(200):
        person = {
            "body_mass_index": source.choice([None, 28, 15.0, 60.0, source.uniform(15, 60)]),
            "age": source.choice([None, *map(str, Age)]),
            "income": source.choice([None, *map(str, Income)]),
        }
        answer = model.answer_plain(person)
        expected = model.predict(DiabetesRiskModelInput(**person))
        assert DiabetesRiskModelOutput.model_validate_json(answer.content) == expected
        assert answer.label == expected.diabetes_risk


@pytest.mark.parametrize(
    "answers",
    [None, [], 3, {"weight": 1}, {"age": "OLD"}, {"body_mass_index": True}, {"body_mass_index": 9}, {"age": []}],
)
def test_what_does_not_fit_is_left_to_the_schema(bucket, answers):
    assert DiabetesRiskModel(**bucket.settings()).answer_plain(answers) is None


@pytest.mark.parametrize("probability", [0.0, 5e-324, 1e-7, 0.5, 0.5000000000000001, 0.1 + 0.2, 1.0])
def test_no_digit_is_lost(probability):
    label, content = plain_answer(probability)
    assert json.loads(content) == {"diabetes_risk": label, "probability": probability}
    assert label == ("DIABETES" if probability > 0.5 else "NO_DIABETES")


@pytest.mark.parametrize("probability", [math.nan, -0.1, 1.1])
def test_a_probability_that_is_none_is_left_to_the_schema(bucket, monkeypatch, probability):
    model = DiabetesRiskModel(**bucket.settings())
    monkeypatch.setattr(type(model._engine), "probability", lambda engine, row: probability)
    assert model.answer_plain({}) is None
    with pytest.raises(ValidationError):
        model.predict(DiabetesRiskModelInput())
