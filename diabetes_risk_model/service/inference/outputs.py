"""From the model's answers to the tensors of a response."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from diabetes_risk_model.prediction.batch import Batch, risk_of
from diabetes_risk_model.service.answers import Answer
from diabetes_risk_model.service.bodies import bad_body
from diabetes_risk_model.service.inference.binary import HEADER, MEDIA_TYPE, write_numbers, write_texts
from diabetes_risk_model.service.inference.schemas import InferenceRequest

DATATYPES: dict[str, Literal["FP64", "BYTES"]] = {"probability": "FP64", "diabetes_risk": "BYTES"}


def wanted_outputs(request: InferenceRequest) -> list[tuple[str, bool]]:
    """Return the outputs that a request asks for, each with whether its data come after the JSON.

    Raises:
        RequestRefused: 400: one is named twice, or wanted in a form that there is not.
    """
    parameters = request.parameters
    all_binary = bool(parameters is not None and parameters.binary_data_output)
    if not request.outputs:
        return [(name, all_binary) for name in DATATYPES]
    wanted: dict[str, bool] = {}
    for output in request.outputs:
        if output.name in wanted:
            raise bad_body(f"Output '{output.name}' is named twice.")
        extra = (output.parameters.model_extra if output.parameters is not None else None) or {}
        if "classification" in extra or any(name.startswith("shared_memory_") for name in extra):
            raise bad_body(f"Output '{output.name}': neither classification nor shared memory is supported.")
        own = None if output.parameters is None else output.parameters.binary_data
        wanted[output.name] = all_binary if own is None else own
    return list(wanted.items())


def write_response(fields: dict[str, Any], batch: Batch, wanted: Sequence[tuple[str, bool]]) -> Answer:
    """Return the response.

    Args:
        fields: of the `InferenceResponse`, without its outputs.
        batch: the answers. Each row has one.
        wanted: from `wanted_outputs`.
    """
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, binary in wanted:
        values = _values(name, batch)
        output: dict[str, Any] = {"name": name, "shape": [len(values)], "datatype": DATATYPES[name]}
        if binary:
            parts.append(write_numbers(values) if DATATYPES[name] == "FP64" else write_texts(values))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    head = json.dumps({**fields, "outputs": outputs}, separators=(",", ":")).encode()
    if not parts:
        return Answer(200, head)
    return Answer(200, b"".join((head, *parts)), ((HEADER, str(len(head)).encode()),), MEDIA_TYPE.encode())


def _values(name: str, batch: Batch) -> list[Any]:
    probabilities: list[float] = batch.probabilities.tolist()
    return probabilities if name == "probability" else [risk_of(value).value for value in probabilities]
