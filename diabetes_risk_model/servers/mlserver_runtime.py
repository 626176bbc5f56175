"""The model as a runtime of MLServer, which verifies its package before it answers.

`model-settings.json` names `diabetes_risk_model.servers.mlserver_runtime.DiabetesRiskRuntime` as `implementation`, and
has the model's settings in `parameters.extra`. The tensors are those of this project's own service: a tensor for each
field, or `input`, a matrix of codes.
"""

import logging
from typing import Any

from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec, StringCodec  # type: ignore[import-not-found]
from mlserver.errors import InferenceError  # type: ignore[import-not-found]
from mlserver.types import (  # type: ignore[import-not-found]
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    ResponseOutput,
)

from diabetes_risk_model.prediction.batch import Batch, risk_of
from diabetes_risk_model.prediction.encoding import RowsOfColumns
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.servers.configuration import model_settings
from diabetes_risk_model.servers.rows import FIELDS, BadTable, describe_errors, read_columns, read_matrix
from signed_parameters import SignedParametersError

_MATRIX = "input"
_NUMBERS = "body_mass_index"
_OUTPUTS = {"probability": "FP64", "diabetes_risk": "BYTES"}
_LOGGER = logging.getLogger(__name__)


class DiabetesRiskRuntime(MLModel):  # type: ignore[misc]
    """Answers tensors with `probability` and `diabetes_risk`."""

    async def load(self) -> bool:
        """Fetch, verify and load the parameters, in the process that will answer.

        Raises:
            SignedParametersError: they could not be had, or are refused. The log says why.
        """
        parameters = self.settings.parameters
        try:
            self._model = DiabetesRiskModel(**model_settings((parameters and parameters.extra) or {}))
        except SignedParametersError as error:
            _LOGGER.error("%s: %s", type(error).__name__, error)
            raise
        self.inputs = [
            MetadataTensor(name=name, datatype="FP64" if name == _NUMBERS else "BYTES", shape=[-1]) for name in FIELDS
        ]
        self.outputs = [MetadataTensor(name=name, datatype=kind, shape=[-1]) for name, kind in _OUTPUTS.items()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request.

        Raises:
            InferenceError: 400: the tensors do not fit, or a row.
        """
        wanted = [output.name for output in payload.outputs or ()] or list(_OUTPUTS)
        if unknown := [name for name in wanted if name not in _OUTPUTS]:
            raise InferenceError(f"The outputs are {', '.join(_OUTPUTS)}; {unknown[0]!r} is none of them.")
        try:
            batch = self._model.predict_batch(_rows(payload.inputs))
        except BadTable as error:
            raise InferenceError(str(error)) from None
        if batch.errors:
            raise InferenceError(describe_errors(batch))
        statement = self._model.statement
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[_output(name, batch) for name in wanted],
            parameters={"parameters_version": statement.parameters_version, "serial": statement.serial},
        )


def _rows(inputs: Any) -> RowsOfColumns:
    tensors = {tensor.name: tensor for tensor in inputs}
    if len(tensors) != len(inputs):
        raise BadTable("An input is named twice.")
    try:
        if set(tensors) == {_MATRIX}:
            return read_matrix(_values(tensors[_MATRIX]))
        return read_columns({name: _flat(_values(tensor)) for name, tensor in tensors.items()})
    except BadTable:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):  # of MLServer's codecs
        raise BadTable("An input's shape, datatype and data do not agree.") from None


def _values(tensor: Any) -> list[Any]:
    """Return the elements of a tensor: text, or numbers."""
    if tensor.datatype == "BYTES":
        return list(StringCodec.decode_input(tensor))
    values: list[Any] = NumpyCodec.decode_input(tensor).tolist()
    return values


def _flat(values: list[Any]) -> list[Any]:
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def _output(name: str, batch: Batch) -> ResponseOutput:
    if name == "probability":
        return ResponseOutput(
            name=name, shape=[len(batch.probabilities)], datatype="FP64", data=list(batch.probabilities)
        )
    return StringCodec.encode_output(name, [risk_of(probability).value for probability in batch.probabilities])
