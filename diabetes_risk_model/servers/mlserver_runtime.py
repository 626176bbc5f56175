"""The model as a runtime of MLServer, which verifies its package before it answers.

`model-settings.json` names `diabetes_risk_model.servers.mlserver_runtime.DiabetesRiskRuntime` as `implementation`, and
has the model's settings in `parameters.extra`. The tensors are those of this project's own service: a tensor for each
field, or `input`, a matrix of codes.
"""

import logging
import math
from collections.abc import Sequence
from types import NoneType
from typing import Any

from mlserver import MLModel  # type: ignore[import-not-found]
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
from diabetes_risk_model.prediction.problems import printable
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


def _rows(inputs: Sequence[Any]) -> RowsOfColumns:
    tensors = {tensor.name: tensor for tensor in inputs}
    if len(tensors) != len(inputs):
        raise BadTable("An input is named twice.")
    if set(tensors) == {_MATRIX}:
        width = len(FIELDS)
        elements = _elements(tensors[_MATRIX], [width])
        return read_matrix([elements[start : start + width] for start in range(0, len(elements), width)])
    return read_columns({name: _elements(tensor, [1]) for name, tensor in tensors.items()})


def _elements(tensor: Any, row: list[int]) -> list[Any]:
    """Return the elements of a tensor, row by row: text, numbers, or None.

    MLServer's codecs are not used: they take what is no text for an empty one, and pass over the shape.
    """
    shape, data = list(tensor.shape), getattr(tensor.data, "root", tensor.data)
    if data and all(isinstance(part, list) for part in data):
        data = [element for part in data for element in part]
    if shape[1:] not in ([row] if row != [1] else [[], row]):
        raise BadTable(f"Input {printable(tensor.name)!r}: its shape must be {'[n, 4]' if row != [1] else '[n]'}.")
    if not isinstance(data, list) or len(data) != math.prod(shape):
        raise BadTable(f"Input {printable(tensor.name)!r}: its shape and its data do not agree.")
    kinds = {NoneType, str, bytes} if tensor.datatype == "BYTES" else {NoneType, float, int}
    if not set(map(type, data)) <= kinds:
        raise BadTable(f"Input {printable(tensor.name)!r}: its datatype and its data do not agree.")
    return [_text(element) if type(element) is bytes else element for element in data]


def _text(element: bytes) -> str:
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise BadTable("A text is not UTF-8.") from None


def _output(name: str, batch: Batch) -> ResponseOutput:
    values: list[Any] = list(batch.probabilities)
    if name == "diabetes_risk":
        values = [risk_of(probability).value for probability in values]
    return ResponseOutput(name=name, shape=[len(values)], datatype=_OUTPUTS[name], data=values)
