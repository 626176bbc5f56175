"""What the requests and answers of the Open Inference Protocol are, as pydantic models.

An optional field may also be null: some clients write every field that they know.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from rest_model_service.schemas import Error
from starlette.types import Scope

from diabetes_risk_model.prediction.problems import shortened
from diabetes_risk_model.service.answers import Answer

PREFIX = "/v2"

_MOST_TENSORS = 32

_ELEMENT = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}
# The elements are checked where they are read: pydantic would take longer than the model.
_Data = Annotated[
    list[Any],
    WithJsonSchema(
        {"type": "array", "items": {"anyOf": [*_ELEMENT["anyOf"], {"type": "array", "items": _ELEMENT}]}},
        mode="validation",
    ),
]
_Dimension = Annotated[int, Field(ge=0)]
_SIZE = "Size of its data after the JSON, in bytes."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    _shortened = model_validator(mode="before")(shortened)


class _InputParameters(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    binary_data_size: int | None = Field(default=None, ge=0, description=_SIZE)


class _OutputParameters(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    binary_data: bool | None = Field(default=None, description="Whether its data come after the JSON.")


class _RequestParameters(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    binary_data_output: bool | None = Field(
        default=None, description="Whether the data of all outputs come after the JSON, where an output does not say."
    )


class RequestInput(_Strict):
    """A tensor of a request."""

    name: str = Field(description="A field of the model, or `input` for all of them as one matrix of codes.")
    shape: list[_Dimension] = Field(min_length=1, max_length=2, description="[n] or [n, 1]; of the matrix, [n, 4].")
    datatype: Literal["FP64", "FP32", "BYTES"] = Field(description="BYTES for text.")
    parameters: _InputParameters | None = Field(default=None, description="Others than these are passed over.")
    data: _Data | None = Field(
        default=None, description="Row by row, flat or nested. Null, NaN or an empty text is a missing answer."
    )


class RequestOutput(_Strict):
    """A tensor that is wanted."""

    name: Literal["probability", "diabetes_risk"]
    parameters: _OutputParameters | None = Field(default=None, description="Others than these are passed over.")


class InferenceRequest(_Strict):
    """A request to infer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "1",
                    "inputs": [
                        {"name": "body_mass_index", "shape": [2], "datatype": "FP64", "data": [28.5, None]},
                        {"name": "age", "shape": [2], "datatype": "BYTES", "data": ["FROM_60_TO_64", "FROM_80"]},
                    ],
                },
                {
                    "inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [[28.5, 3, 9, 6]]}],
                    "outputs": [{"name": "probability"}],
                },
            ]
        }
    )

    id: str | None = Field(default=None, description="Is in the answer again.")
    parameters: _RequestParameters | None = Field(default=None, description="Others than these are passed over.")
    inputs: list[RequestInput] = Field(min_length=1, max_length=_MOST_TENSORS)
    outputs: list[RequestOutput] | None = Field(
        default=None, max_length=_MOST_TENSORS, description="Those that are wanted; all if none is named."
    )


class _ResponseParameters(BaseModel):
    binary_data_size: int | None = Field(default=None, ge=0, description=_SIZE)


class ResponseOutput(BaseModel):
    """A tensor of an answer."""

    name: Literal["probability", "diabetes_risk"]
    shape: list[_Dimension]
    datatype: Literal["FP64", "BYTES"]
    parameters: _ResponseParameters | None = None
    data: list[float] | list[str] | None = Field(default=None, description="Left out where they come after the JSON.")


class InferenceResponse(BaseModel):
    """The answer to a request to infer."""

    model_name: str
    model_version: str
    id: str | None = Field(default=None, description="The request's.")
    parameters: dict[str, str | int] | None = Field(
        default=None, description="`parameters_version` and `serial` of the package that answered."
    )
    outputs: list[ResponseOutput] = Field(description="In the order in which they were asked for.")


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """What a tensor of a model is."""

    name: str
    datatype: Literal["FP64", "BYTES"]
    shape: list[int] = Field(description="-1 stands for any number.")


class InferenceMetadata(BaseModel):
    """What a model is."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(description="Any of them may be left out.")
    outputs: list[TensorMetadata]


class ServerLive(BaseModel):
    """Whether the server lives."""

    live: bool


class ServerReady(BaseModel):
    """Whether every model is loaded."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model is loaded."""

    name: str
    ready: bool


class InferenceError(Error):  # type: ignore[misc]
    """Error details, and the one field that the protocol has."""

    error: str = Field(description="The messages, as one text.")


def with_error(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an `Error` as those of an `InferenceError`."""
    return {**fields, "error": " ".join(fields["messages"])}


def protocol_answer(refusal: Answer) -> Answer:
    """Return a refusal, which is an `Error`, as an `InferenceError`."""
    return refusal._replace(body=json.dumps(with_error(json.loads(refusal.body))).encode())


def is_protocol_path(scope: Scope) -> bool:
    """Return whether a request's path belongs to the protocol, wherever the server's root is."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path == PREFIX or path.startswith(f"{PREFIX}/")
