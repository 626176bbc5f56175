import csv
import io
import json

from benchmarks.batches import CSV, JSON, batch_bodies
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput


def test_both_kinds_hold_the_same_valid_rows() -> None:
    bodies = batch_bodies(50)
    rows = [DiabetesRiskModelInput(**row) for row in json.loads(bodies[JSON][1])]
    assert len(rows) == 50
    read = list(csv.DictReader(io.StringIO(bodies[CSV][1])))
    assert [float(row["body_mass_index"]) for row in read] == [row.body_mass_index for row in rows]
    assert [row["income"] for row in read] == [row.income for row in rows]
    assert [media_type for media_type, _ in bodies.values()] == ["application/json", "text/csv"]
