"""Many rows at once: one call of the engine, answers in order, and a report of each row that does not fit."""

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from diabetes_risk_model.prediction.encoding import Columns, Row, encode, encode_columns, encode_plain
from diabetes_risk_model.prediction.problems import field_of, shortened
from diabetes_risk_model.prediction.schemas import DiabetesRisk, DiabetesRiskModelInput, DiabetesRiskModelOutput

THRESHOLD = 0.5
_PROBLEMS_OF_A_ROW = 5
_KEPT_TEXTS = 32_768

Probabilities = Callable[[Columns], Iterable[float]]


class RowError(BaseModel):
    """Why a row was not answered."""

    index: int = Field(ge=0, description="Which row, counted from 0; a CSV header is not counted.")
    field: str | None = Field(description="Which field of it; null where the row as a whole does not fit.")
    message: str = Field(description="What is wrong with it.")


class BatchOutput(BaseModel):
    """The answers to many rows."""

    predictions: list[DiabetesRiskModelOutput | None] = Field(
        description="One for each row, in the order of the rows; null for a row that does not fit."
    )
    errors: list[RowError] = Field(description="What is wrong with the rows that do not fit.")


@dataclass(frozen=True)
class UnreadableRow:
    """Stands in the place of a row that could not be read at all.

    Attributes:
        problem: what is wrong with it, as a sentence without its full stop.
    """

    problem: str


@dataclass(frozen=True)
class Batch:
    """The answers to many rows.

    Attributes:
        probabilities: of diabetes, one for each row; NaN for a row that does not fit.
        errors: what is wrong with those.
    """

    probabilities: "array[float]"
    errors: list[RowError]

    def count(self) -> dict[str, int]:
        """Return how often each answer was given."""
        positive = sum(map(THRESHOLD.__lt__, self.probabilities))
        answered = len(self.probabilities) - len({error.index for error in self.errors})
        return {DiabetesRisk.DIABETES.value: positive, DiabetesRisk.NO_DIABETES.value: answered - positive}

    def to_json(self) -> bytes:
        """Return the JSON of the `BatchOutput`."""
        predictions = ",".join(map(prediction_json, self.probabilities))
        errors = ",".join(error.model_dump_json() for error in self.errors)
        return f'{{"predictions":[{predictions}],"errors":[{errors}]}}'.encode()


def predict_batch(rows: Sequence[object], probabilities: Probabilities) -> Batch:
    """Answer many rows.

    Args:
        rows: each the fields of a `DiabetesRiskModelInput`, as JSON has them, or an `UnreadableRow`.
        probabilities: of the engine. It is called once, for the rows that fit.
    """
    columns = encode_columns(rows)
    if columns is not None:
        return Batch(array("d", probabilities(columns) if rows else ()), [])
    errors: list[RowError] = []
    encoded = [encode_plain(row) or _encode_by_schema(index, row, errors) for index, row in enumerate(rows)]
    fitting = [row for row in encoded if row is not None]
    answers = iter(probabilities(_columns_of(fitting)) if fitting else ())
    return Batch(array("d", (math.nan if row is None else next(answers) for row in encoded)), errors)


def risk_of(probability: float) -> DiabetesRisk:
    """Return the answer that a probability of diabetes makes likelier."""
    return DiabetesRisk.DIABETES if probability > THRESHOLD else DiabetesRisk.NO_DIABETES


def _columns_of(rows: Sequence[Row]) -> Columns:
    body_mass_index, general_health, age, income = zip(*rows, strict=True)
    return body_mass_index, general_health, age, income


def _encode_by_schema(index: int, row: object, errors: list[RowError]) -> Row | None:
    if isinstance(row, UnreadableRow):
        errors.append(RowError(index=index, field=None, message=row.problem))
        return None
    try:
        return encode(DiabetesRiskModelInput.model_validate(shortened(row)))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    errors += [_row_error(index, problem) for problem in problems[:_PROBLEMS_OF_A_ROW]]
    return None


def _row_error(index: int, problem: Mapping[str, Any]) -> RowError:
    return RowError(index=index, field=field_of(problem) or None, message=problem["msg"])


# Built once: to format a member of an enumeration takes longer than to answer a row.
_BEFORE_PROBABILITY = {risk: f'{{"diabetes_risk":"{risk.value}","probability":' for risk in DiabetesRisk}


# A model has few different answers, and a probability takes longer to write than to find.
@lru_cache(_KEPT_TEXTS)
def prediction_json(probability: float) -> str:
    """Return the JSON of the `DiabetesRiskModelOutput` of a probability; "null" for NaN."""
    if probability != probability:
        return "null"
    return f"{_BEFORE_PROBABILITY[risk_of(probability)]}{probability!r}}}"
