"""The model, as `ml_base` and `rest_model_service` know models."""

from collections.abc import Sequence

from ml_base import MLModel
from ml_base.ml_model import MLModelSchemaValidationException

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.batch import Batch, BatchOutput, predict_batch, risk_of
from diabetes_risk_model.prediction.encoding import encode, encode_plain
from diabetes_risk_model.prediction.engines import load_engine
from diabetes_risk_model.prediction.parameters import MODEL_NAME, fetch_parameters
from diabetes_risk_model.prediction.plain import PlainAnswer, plain_answer
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput, DiabetesRiskModelOutput
from diabetes_risk_model.prediction.settings import Settings

_CARD = "card.html"


class DiabetesRiskModel(MLModel):  # type: ignore[misc]
    """Estimates the risk of diabetes from four answers of one person.

    Its parameters come out of a signed package, which is verified in this process before anything of it is loaded.

    Attributes:
        statement: what the signer said of the package.
        key_ids: ids of the trusted keys whose signatures hold. `key_id` is the first.
        card: the model card, an HTML page; None where the package has none.
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
    batch_output_schema = BatchOutput

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
            self.key_ids = package.key_ids
            self.card = package.read(_CARD) if _CARD in package.names else None
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
        return DiabetesRiskModelOutput(diabetes_risk=risk_of(probability), probability=probability)

    def answer_plain(self, answers: object) -> PlainAnswer | None:
        """Estimate one person's risk as `predict` does, several times as fast.

        Args:
            answers: the fields of the input schema, as JSON has them.

        Returns:
            The answer; None where the schemas must say whether the answers, and what the engine makes of them, fit.
        """
        row = encode_plain(answers)
        if row is None:
            return None
        probability = self._engine.probability(row)
        return plain_answer(probability) if 0.0 <= probability <= 1.0 else None

    def predict_batch(self, rows: Sequence[object]) -> Batch:
        """Estimate the risk of many people by one call of the engine.

        Args:
            rows: each the fields of the input schema, as JSON has them. Those that do not fit are reported, and the
                others are answered.
        """
        return predict_batch(rows, self._engine.probabilities)
