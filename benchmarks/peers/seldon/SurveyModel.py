# mypy: ignore-errors
"""The model, as Seldon's microservice knows models. It runs in Seldon's environment."""

import os

import joblib


class SurveyModel:
    """Answers with the probabilities of both classes."""

    def __init__(self):
        self._pipeline = joblib.load(os.environ["MODEL_FILE"])

    def predict(self, X, names, meta=None):  # noqa: N803 -- so the microservice calls it
        """Return the probabilities, shape (n, 2), for rows of shape (n, 4)."""
        return self._pipeline.predict_proba(X)
