"""Many rows at once: one call of the engine, answers in order, and a report of each row that does not fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from diabetes_risk_model.prediction.encoding import Row, encode, encode_plain
from diabetes_risk_model.prediction.problems import field_of
from diabetes_risk_model.prediction.schemas import DiabetesRisk, DiabetesRiskModelInput, DiabetesRiskModelOutput

THRESHOLD = 0.5
_PROBLEMS_OF_A_ROW = 5
_NO_ROW: Row = (np.nan, np.nan, np.nan, np.nan)


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
    """The answers to many rows, as arrays.

    Attributes:
        probabilities: of diabetes, shape (n,); NaN for a row that does not fit.
        errors: what is wrong with those.
    """

    probabilities: NDArray[np.float64]
    errors: list[RowError]

    def count(self) -> dict[str, int]:
        """Return how often each answer was given."""
        positive = int((self.probabilities > THRESHOLD).sum())
        answered = int(np.count_nonzero(~np.isnan(self.probabilities)))
        return {DiabetesRisk.DIABETES.value: positive, DiabetesRisk.NO_DIABETES.value: answered - positive}

    def to_json(self) -> bytes:
        """Return the JSON of the `BatchOutput`."""
        predictions = ",".join(map(_prediction_json, self.probabilities.tolist()))
        errors = ",".join(error.model_dump_json() for error in self.errors)
        return f'{{"predictions":[{predictions}],"errors":[{errors}]}}'.encode()


def predict_batch(rows: Sequence[object], probabilities: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Batch:
    """Answer many rows.

    Args:
        rows: each the fields of a `DiabetesRiskModelInput`, as JSON has them, or an `UnreadableRow`.
        probabilities: of the engine, from shape (m, 4) to shape (m,). It is called once, for the rows that fit.
    """
    encoded = [encode_plain(row) for row in rows]
    errors: list[RowError] = []
    for index, row in enumerate(rows):
        if encoded[index] is None:
            encoded[index] = _encode_by_schema(index, row, errors)
    bad = {error.index for error in errors}
    matrix = np.array([row or _NO_ROW for row in encoded], dtype=np.float64).reshape(len(rows), len(_NO_ROW))
    answers = np.full(len(rows), np.nan)
    fitting = np.array([index not in bad for index in range(len(rows))], dtype=bool)
    if fitting.any():
        answers[fitting] = probabilities(matrix[fitting])
    return Batch(answers, errors)


def risk_of(probability: float) -> DiabetesRisk:
    """Return the answer that a probability of diabetes makes likelier."""
    return DiabetesRisk.DIABETES if probability > THRESHOLD else DiabetesRisk.NO_DIABETES


def _encode_by_schema(index: int, row: object, errors: list[RowError]) -> Row | None:
    if isinstance(row, UnreadableRow):
        errors.append(RowError(index=index, field=None, message=row.problem))
        return None
    try:
        return encode(DiabetesRiskModelInput.model_validate(row))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    errors += [_row_error(index, problem) for problem in problems[:_PROBLEMS_OF_A_ROW]]
    return None


def _row_error(index: int, problem: Mapping[str, Any]) -> RowError:
    return RowError(index=index, field=field_of(problem) or None, message=problem["msg"])


# Built once: to format a member of an enumeration takes longer than to answer a row.
_BEFORE_PROBABILITY = {risk: f'{{"diabetes_risk":"{risk.value}","probability":' for risk in DiabetesRisk}


def _prediction_json(probability: float) -> str:
    if probability != probability:
        return "null"
    return f"{_BEFORE_PROBABILITY[risk_of(probability)]}{probability!r}}}"
