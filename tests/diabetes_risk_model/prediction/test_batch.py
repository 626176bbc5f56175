import json
import math
import random

import pytest

from diabetes_risk_model.prediction.batch import BatchOutput, UnreadableRow
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.schemas import Age, DiabetesRiskModelInput, GeneralHealth, Income


def random_rows(number, seed):
    source = random.Random(seed)
    values = {
        "body_mass_index": lambda: source.choice([source.uniform(15, 60), source.randint(15, 60)]),
        "general_health": lambda: source.choice(list(GeneralHealth)).value,
        "age": lambda: source.choice(list(Age)).value,
        "income": lambda: source.choice(list(Income)).value,
    }
    return [
        {name: source.choice([value(), value(), value(), None]) for name, value in values.items()}
        for _ in range(number)
    ]


@pytest.mark.parametrize("engine", ["table", "onnx", "pickle"])
def test_a_batch_is_equal_to_its_single_predictions(bucket, engine):
    model = DiabetesRiskModel(**bucket.settings(engine=engine))
    rows = random_rows(2_000, seed=1)
    answer = json.loads(model.predict_batch(rows).to_json())
    expected = [model.predict(DiabetesRiskModelInput(**row)).model_dump(mode="json") for row in rows]
    assert answer == {"predictions": expected, "errors": []}
    assert len({prediction["diabetes_risk"] for prediction in expected}) == 2


def test_the_engine_is_called_once_and_for_the_rows_that_fit(bucket, monkeypatch):
    model = DiabetesRiskModel(**bucket.settings())
    shapes = []
    compute = model._engine.probabilities

    def watched(columns):
        shapes.append([len(column) for column in columns])
        return compute(columns)

    monkeypatch.setattr(model._engine, "probabilities", watched)
    model.predict_batch([{}, {"age": "OLD"}, {"age": "FROM_80"}, 3, {"age": None}])
    assert shapes == [[3, 3, 3, 3]]


def test_rows_that_do_not_fit_are_reported_and_the_others_answered(bucket):
    model = DiabetesRiskModel(**bucket.settings())
    rows = [
        {"age": "FROM_80"},
        {"age": "OLD", "body_mass_index": 9},
        7,
        {},
        {"weight\n": 80},
        UnreadableRow("Expected 4 cells, found 3"),
        {"body_mass_index": 28},
    ]
    answer = BatchOutput.model_validate_json(model.predict_batch(rows).to_json())
    alone = [model.predict(DiabetesRiskModelInput(**rows[index])) for index in (0, 3, 6)]
    assert answer.predictions == [alone[0], None, None, alone[1], None, None, alone[2]]
    risks = [one.diabetes_risk for one in alone]
    assert model.predict_batch(rows).count() == {name: risks.count(name) for name in ("DIABETES", "NO_DIABETES")}
    found = [(error.index, error.field) for error in answer.errors]
    assert found == [(1, "body_mass_index"), (1, "age"), (2, None), (4, "weight\\n"), (5, None)]
    assert answer.errors[-1].message == "Expected 4 cells, found 3"
    assert "OLD" not in answer.model_dump_json()


@pytest.mark.parametrize("rows", [[], [3], [{"age": 3}, None]])
def test_where_no_row_fits_the_engine_is_not_asked(bucket, monkeypatch, rows):
    model = DiabetesRiskModel(**bucket.settings())
    monkeypatch.setattr(model._engine, "probabilities", None)
    batch = model.predict_batch(rows)
    assert len(batch.probabilities) == len(rows)
    assert all(map(math.isnan, batch.probabilities))
    assert batch.count() == {"DIABETES": 0, "NO_DIABETES": 0}
    assert BatchOutput.model_validate_json(batch.to_json()).predictions == [None] * len(rows)


def test_a_row_with_very_many_problems_is_reported_shortly(bucket):
    model = DiabetesRiskModel(**bucket.settings())
    answer = json.loads(model.predict_batch([{f"k{number}": 1 for number in range(1_000)}]).to_json())
    assert len(answer["errors"]) == 5
