"""The model, as `ml_base` and `rest_model_service` know models."""

import math

from ml_base import MLModel
from ml_base.ml_model import MLModelSchemaValidationException

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.engines import load_engine
from diabetes_risk_model.prediction.parameters import MODEL_NAME, fetch_parameters
from diabetes_risk_model.prediction.schemas import (
    Age,
    DiabetesRisk,
    DiabetesRiskModelInput,
    DiabetesRiskModelOutput,
    GeneralHealth,
    Income,
)
from diabetes_risk_model.prediction.settings import Settings

_THRESHOLD = 0.5
_GENERAL_HEALTH_CODES = {member: float(code) for code, member in enumerate(GeneralHealth, start=1)}
_AGE_CODES = {member: float(code) for code, member in enumerate(Age, start=1)}
_INCOME_CODES = {member: float(code) for code, member in enumerate(Income, start=1)}


class DiabetesRiskModel(MLModel):  # type: ignore[misc]
    """Estimates the risk of diabetes from four answers of one person.

    Its parameters come out of a signed package, which is verified in this process before anything of it is loaded.
    """

    display_name = "Diabetes Risk Model"
    qualified_name = MODEL_NAME
    description = (
        "Estimates the risk of diabetes or prediabetes from body mass index, general health, age and income. "
        "For teaching; not medical advice."
    )
    version = __version__
    input_schema = DiabetesRiskModelInput
    output_schema = DiabetesRiskModelOutput

    def __init__(self, **configuration: object) -> None:
        """Fetch, verify and load the parameters.

        Args:
            configuration: the fields of `settings.Settings`.

        Raises:
            ConfigurationError: the configuration is not usable.
            StorageError: the package could not be had.
            VerificationError: it is refused.
        """
        settings = Settings.from_keywords(configuration)
        with fetch_parameters(settings) as package:
            self.statement = package.statement
            self.key_id = package.key_id
            self._engine = load_engine(package, settings.engine)

    def predict(self, data: DiabetesRiskModelInput) -> DiabetesRiskModelOutput:
        """Estimate one person's risk.

        Raises:
            MLModelSchemaValidationException: `data` is not of the input schema.
        """
        if not isinstance(data, DiabetesRiskModelInput):
            raise MLModelSchemaValidationException(
                f"expected a {DiabetesRiskModelInput.__name__}, found a {type(data).__name__}"
            )
        probability = self._engine.probability(encode(data))
        risk = DiabetesRisk.DIABETES if probability > _THRESHOLD else DiabetesRisk.NO_DIABETES
        return DiabetesRiskModelOutput(diabetes_risk=risk, probability=probability)


def encode(data: DiabetesRiskModelInput) -> tuple[float, float, float, float]:
    """Return the row that the model was trained on: BMI, GeneralHealth, Age, Income; NaN where there is no answer."""
    return (
        math.nan if data.body_mass_index is None else data.body_mass_index,
        math.nan if data.general_health is None else _GENERAL_HEALTH_CODES[data.general_health],
        math.nan if data.age is None else _AGE_CODES[data.age],
        math.nan if data.income is None else _INCOME_CODES[data.income],
    )
