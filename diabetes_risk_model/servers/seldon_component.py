"""The model as a component of Seldon Core 1, which verifies its package before it answers.

    seldon-core-microservice diabetes_risk_model.servers.seldon_component.DiabetesRisk --service-type MODEL

The microservice makes one object, forks, and has each of its processes load: so each verifies for itself.
"""

import logging
from collections.abc import Sequence
from typing import Any, NoReturn

from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.schemas import DiabetesRisk as Risk
from diabetes_risk_model.servers.configuration import model_settings
from diabetes_risk_model.servers.rows import BadTable, describe_errors, read_matrix
from signed_parameters import SignedParametersError

# At this status gunicorn gives up, instead of starting one worker after the other.
_GIVE_UP = 3
_LOGGER = logging.getLogger(__name__)


class DiabetesRisk:
    """Answers each row with two probabilities: of no diabetes, and of diabetes."""

    def __init__(self, **parameters: object) -> None:
        """Take the settings. Nothing is fetched yet.

        Args:
            parameters: as for `configuration.model_settings`; the graph's `parameters` say them.

        Raises:
            SystemExit: they are not usable. The log says why.
        """
        self._model: DiabetesRiskModel | None = None
        try:
            self._settings = model_settings(parameters)
        except SignedParametersError as error:
            _give_up(error)

    def load(self) -> None:
        """Fetch, verify and load the parameters, in the process that will answer.

        Raises:
            SystemExit: they could not be had, or are refused. The log says why.
        """
        try:
            self._model = DiabetesRiskModel(**self._settings)
        except Exception as error:  # the microservice would pass over some, and answer without a model
            _give_up(error)

    def predict(self, X: Any, names: Sequence[str], meta: object = None) -> list[list[float]]:  # noqa: N803
        """Return the two probabilities of each row.

        Args:
            X: array of shape (n, k), or rows.
            names: of the k columns, fields of the model; all four in their order if there are none.
            meta: what the microservice knows of the request.

        Raises:
            SeldonMicroserviceException: 400: the table does not fit, or a row.
        """
        assert self._model is not None, "nothing was loaded"
        try:
            batch = self._model.predict_batch(read_matrix(_rows(X), _names(names)))
        except BadTable as error:
            raise _bad_request(str(error)) from None
        if batch.errors:
            raise _bad_request(describe_errors(batch))
        return [[1.0 - probability, probability] for probability in batch.probabilities]

    def class_names(self) -> list[str]:
        """Return what the probabilities are of."""
        return [Risk.NO_DIABETES.value, Risk.DIABETES.value]

    @property
    def model_error_handler(self) -> Any:
        """What the microservice adds to its application: data that it cannot read itself are the client's mistake."""
        from flask import Blueprint, jsonify

        blueprint = Blueprint("bad_data", __name__)
        answer = _bad_request("The data cannot be read: expected rows of one length, in data.ndarray or data.tensor.")

        def refuse(_: Exception) -> Any:
            return jsonify(answer.to_dict()), 400

        for kind in (ValueError, TypeError, LookupError):
            blueprint.app_errorhandler(kind)(refuse)
        return blueprint

    def tags(self) -> dict[str, object]:
        """Return which parameters answered, for the `meta` of the answer."""
        assert self._model is not None, "nothing was loaded"
        statement = self._model.statement
        return {"parameters_version": statement.parameters_version, "serial": statement.serial}


def _rows(table: Any) -> list[list[object]]:
    rows = table.tolist() if hasattr(table, "tolist") else table
    if not isinstance(rows, list):
        raise BadTable("The data must be rows: ndarray, or a tensor of two dimensions.")
    return rows


def _names(given: Any) -> list[Any]:
    try:
        return list(given or ())
    except TypeError:
        raise BadTable("The names must be a list.") from None


def _bad_request(message: str) -> Any:
    from seldon_core.flask_utils import SeldonMicroserviceException  # type: ignore[import-not-found]

    return SeldonMicroserviceException(message, status_code=400)


def _give_up(error: Exception) -> NoReturn:
    _LOGGER.error("%s: %s", type(error).__name__, error)
    raise SystemExit(_GIVE_UP) from None
