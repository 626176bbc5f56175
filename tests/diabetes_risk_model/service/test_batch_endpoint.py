"""Batches over HTTP, to a real service."""

import json
import random

import pytest

from diabetes_risk_model.prediction.schemas import Age, DiabetesRiskModelInput, GeneralHealth

PREDICTION = "/api/models/diabetes_risk_model/prediction"
BATCH = "/api/models/diabetes_risk_model/predictions"


def rows(number):
    source = random.Random(number)
    return [
        {
            "body_mass_index": round(source.uniform(15, 60), 3),
            "general_health": source.choice(list(GeneralHealth)).value,
            "age": source.choice([*Age, None]),
        }
        for _ in range(number)
    ]


def to_csv(many):
    lines = ["body_mass_index,general_health,age"]
    lines += [",".join("" if value is None else str(value) for value in row.values()) for row in many]
    return "\n".join(lines).encode()


def test_json_and_csv_give_the_answers_that_single_predictions_give(limited, http):
    many = rows(200)
    single = [http.exchange(limited, http.request(PREDICTION, json.dumps(row).encode())).json for row in many]
    expected = {"predictions": single, "errors": []}
    assert http.exchange(limited, http.request(BATCH, json.dumps(many).encode())).json == expected
    assert http.exchange(limited, http.request(BATCH, to_csv(many), "text/csv; charset=utf-8")).json == expected


def test_the_largest_batch(limited, http, served_model, limits):
    many = rows(limits["batch_rows"])
    reply = http.exchange(limited, http.request(BATCH, json.dumps(many).encode()))
    model = served_model.model
    expected = [model.predict(DiabetesRiskModelInput(**row)).model_dump(mode="json") for row in many]
    assert reply.json == {"predictions": expected, "errors": []}


def test_one_row_too_many(limited, http, limits):
    many = [{}] * (limits["batch_rows"] + 1)
    reply = http.exchange(limited, http.request(BATCH, json.dumps(many).encode()))
    assert (reply.status, reply.json["type"]) == (413, "TooManyRows")
    reply = http.exchange(limited, http.request(BATCH, b"age\n" + b"FROM_80\n" * len(many), "text/csv"))
    assert (reply.status, reply.json["type"]) == (413, "TooManyRows")


def test_bad_rows_of_csv_are_reported_by_their_index(limited, http):
    body = b"age,body_mass_index\nFROM_80,28\nOLD,28\nFROM_80\n,nan\n,\n"
    reply = http.exchange(limited, http.request(BATCH, body, "text/csv"))
    assert reply.status == 200
    assert [answer is None for answer in reply.json["predictions"]] == [False, True, True, True, False]
    assert [(error["index"], error["field"]) for error in reply.json["errors"]] == [
        (1, "age"),
        (2, None),
        (3, "body_mass_index"),
    ]


@pytest.mark.parametrize(("body", "content_type"), [(b"[]", "application/json"), (b"age\n", "text/csv")])
def test_no_rows(limited, http, body, content_type):
    reply = http.exchange(limited, http.request(BATCH, body, content_type))
    assert (reply.status, reply.json) == (200, {"predictions": [], "errors": []})


def test_a_single_prediction_takes_no_csv(limited, http):
    assert http.exchange(limited, http.request(PREDICTION, b"age\nFROM_80\n", "text/csv")).status == 415
