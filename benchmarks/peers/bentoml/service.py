# mypy: ignore-errors
"""The model, as BentoML knows services. It runs in BentoML's environment."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1)
class SurveyModel:
    """Answers with the probabilities of both classes."""

    def __init__(self) -> None:
        self._pipeline = joblib.load(os.environ["MODEL_FILE"])

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities, shape (n, 2), for rows of shape (n, 4)."""
        return self._pipeline.predict_proba(rows)
