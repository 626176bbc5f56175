"""Batches over HTTP: how many rows a second, as JSON and as CSV."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load import Load, bodies_of, post
from benchmarks.resources import processor_seconds
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput

ROWS = 10_000
JSON, CSV = "JSON", "CSV"


@dataclass(frozen=True)
class Batches:
    """How batches of one kind were answered.

    Attributes:
        rows_per_second: median of the rounds.
        rows_per_processor_second: the same, by the processor's time that the service used.
        milliseconds: median time for a batch, median of the rounds.
        kilobytes: size of a request's body, in 10^3 bytes.
    """

    rows_per_second: float
    rows_per_processor_second: float
    milliseconds: float
    kilobytes: float


def batch_bodies(rows: int) -> dict[str, tuple[str, str]]:
    """Return, for JSON and CSV, the media type and a body of so many random valid rows."""
    given = bodies_of(DiabetesRiskModelInput.model_json_schema(), rows)
    return {JSON: ("application/json", json.dumps(given)), CSV: ("text/csv", to_csv(given))}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows of the same fields as CSV."""
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n"


def measure_batches(prediction: str, pid: int, *, rounds: int, seconds: int) -> dict[str, Batches]:
    """Load a service with batches, JSON and CSV in turn, over 2 connections: one computes while one is read.

    Args:
        prediction: address of single predictions; that of batches differs by one letter.
        pid: of the service.
        rounds: how many times each kind is loaded.
        seconds: how long each time.

    Raises:
        LoadError: an answer was an error.
    """
    bodies = batch_bodies(ROWS)
    loads: dict[str, list[tuple[Load, float]]] = {kind: [] for kind in bodies}
    for _ in range(rounds):
        for kind, (media_type, body) in bodies.items():
            before = processor_seconds(pid)
            load = post(f"{prediction}s", [body], seconds=seconds, connections=2, content_type=media_type)
            loads[kind].append((load, processor_seconds(pid) - before))
    return {
        kind: Batches(
            statistics.median(load.requests_per_second for load, _ in loads[kind]) * ROWS,
            statistics.median(load.requests / processor for load, processor in loads[kind]) * ROWS,
            statistics.median(load.p50 for load, _ in loads[kind]),
            len(body) / 1000,
        )
        for kind, (_, body) in bodies.items()
    }
