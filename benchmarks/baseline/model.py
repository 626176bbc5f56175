"""The model class of THE DESIGN TO BEAT. For comparison only: see the package's docstring."""

import os
import pickle
from pathlib import Path

import pandas as pd
from itsdangerous import Signer
from ml_base import MLModel

from diabetes_risk_model.data.columns import AGE, BMI, FEATURES, GENERAL_HEALTH, INCOME
from diabetes_risk_model.prediction.schemas import (
    Age,
    DiabetesRisk,
    DiabetesRiskModelInput,
    DiabetesRiskModelOutput,
    GeneralHealth,
    Income,
)

SECRET_VARIABLE = "BASELINE_SIGNING_KEY"
SIGNED_PICKLE, SECRET_FILE = "signed_model.pkl", "secret.key"

_CODES = {member: code for members in (GeneralHealth, Age, Income) for code, member in enumerate(members, start=1)}


class BaselineModel(MLModel):  # type: ignore[misc]
    """The pycaret pipeline, unpickled whole, over a data frame of one row."""

    display_name = "Baseline"
    qualified_name = "baseline"
    description = "The design to beat. For comparison only."
    version = "0.1.0"
    input_schema = DiabetesRiskModelInput
    output_schema = DiabetesRiskModelOutput

    def __init__(self, folder: str) -> None:
        """Load the signed pickle from a folder; the secret is in the environment variable BASELINE_SIGNING_KEY.

        Raises:
            itsdangerous.BadSignature: the pickle was changed.
        """
        signed = (Path(folder) / SIGNED_PICKLE).read_bytes()
        self._pipeline = pickle.loads(Signer(os.environ[SECRET_VARIABLE]).unsign(signed))

    def predict(self, data: DiabetesRiskModelInput) -> DiabetesRiskModelOutput:
        """Estimate one person's risk."""
        answers = {
            BMI.name: data.body_mass_index,
            GENERAL_HEALTH.name: None if data.general_health is None else _CODES[data.general_health],
            AGE.name: None if data.age is None else _CODES[data.age],
            INCOME.name: None if data.income is None else _CODES[data.income],
        }
        # The pipeline asks for every column of the survey, though it uses four.
        row = pd.DataFrame([{column.name: answers.get(column.name) for column in FEATURES}], dtype="float64")
        probability = float(self._pipeline.predict_proba(row)[0, 1])
        risk = DiabetesRisk.DIABETES if probability > 0.5 else DiabetesRisk.NO_DIABETES
        return DiabetesRiskModelOutput(diabetes_risk=risk, probability=probability)
