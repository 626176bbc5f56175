"""The answer to one person, without the schemas of pydantic: they cost several times what the prediction does."""

from typing import NamedTuple

from diabetes_risk_model.prediction.batch import THRESHOLD, prediction_json
from diabetes_risk_model.prediction.schemas import DiabetesRisk

_DIABETES, _NO_DIABETES = DiabetesRisk.DIABETES.value, DiabetesRisk.NO_DIABETES.value


class PlainAnswer(NamedTuple):
    """An answer.

    Attributes:
        label: which answer the model finds likelier, for counting.
        content: the JSON of the `DiabetesRiskModelOutput`.
    """

    label: str
    content: bytes


def plain_answer(probability: float) -> PlainAnswer:
    """Return the answer that a probability of diabetes makes."""
    label = _DIABETES if probability > THRESHOLD else _NO_DIABETES
    return PlainAnswer(label, prediction_json(probability).encode())
