"""The paths of the protocol: those that tell of the server and its models, and the description of infer's."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Path
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from diabetes_risk_model.service.inference.binary import MEDIA_TYPE
from diabetes_risk_model.service.inference.inputs import MATRIX, columns_of
from diabetes_risk_model.service.inference.outputs import DATATYPES
from diabetes_risk_model.service.inference.schemas import (
    PREFIX,
    InferenceError,
    InferenceMetadata,
    InferenceResponse,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
    with_error,
)
from diabetes_risk_model.service.life import Life
from diabetes_risk_model.service.loading import ModelLoading

_NOT_FOUND = "There is no model of this name."
_NO_VERSION = "The model has no such version."
_LENGTH_HEADER = "Inference-Header-Content-Length"
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def add_protocol_routes(application: FastAPI, loading: ModelLoading, models: Mapping[str, Any]) -> None:
    """Add the paths of the protocol, but infer.

    Args:
        application: gets the paths.
        loading: says which models are loaded.
        models: those that answer infer: qualified name -> class.
    """
    life: Life = application.state.life
    name_in_path = Path(examples=sorted(models))
    version_in_path = Path(examples=sorted({model.version for model in models.values()}))
    unknown: dict[int | str, dict[str, Any]] = {404: {"model": InferenceError}}
    not_ready: dict[int | str, dict[str, Any]] = {**unknown, 503: {"model": ModelReady}}
    model_path = f"{PREFIX}/models/{{model_name}}"
    version_path = f"{model_path}/versions/{{model_version}}"

    @application.get(PREFIX, response_model=ServerMetadata)
    async def get_server_metadata() -> Response:
        """Tell what the server is, and which extensions of the Open Inference Protocol it has."""
        extensions = ["binary_tensor_data"]
        return _json(ServerMetadata(name=application.title, version=application.version, extensions=extensions))

    @application.get(f"{PREFIX}/health/live", response_model=ServerLive)
    async def get_server_live() -> Response:
        """Tell whether the process is alive."""
        return _json(ServerLive(live=True))

    @application.get(f"{PREFIX}/health/ready", response_model=ServerReady, responses={503: {"model": ServerReady}})
    async def get_server_ready() -> Response:
        """Tell whether infer should be asked here. /api/health/ready tells why not."""
        ready = life.obstacle() is None
        return _json(ServerReady(ready=ready), 200 if ready else 503)

    @application.get(model_path, response_model=InferenceMetadata, responses=unknown)
    async def get_inference_metadata(model_name: str = name_in_path) -> Response:
        """Tell which tensors a model takes and gives."""
        return metadata(model_name)

    @application.get(version_path, response_model=InferenceMetadata, responses=unknown)
    async def get_inference_metadata_of_version(
        model_name: str = name_in_path, model_version: str = version_in_path
    ) -> Response:
        """Tell which tensors a version of a model takes and gives."""
        return metadata(model_name, model_version)

    @application.get(f"{model_path}/ready", response_model=ModelReady, responses=not_ready)
    async def get_model_ready(model_name: str = name_in_path) -> Response:
        """Tell whether a model is loaded."""
        return readiness(model_name)

    @application.get(f"{version_path}/ready", response_model=ModelReady, responses=not_ready)
    async def get_model_ready_of_version(
        model_name: str = name_in_path, model_version: str = version_in_path
    ) -> Response:
        """Tell whether a version of a model is loaded."""
        return readiness(model_name, model_version)

    def metadata(name: str, version: str | None = None) -> Response:
        return _absent(models, name, version) or _json(_metadata(models[name]))

    def readiness(name: str, version: str | None = None) -> Response:
        loaded = loading.get(name) is not None
        return _absent(models, name, version) or _json(ModelReady(name=name, ready=loaded), 200 if loaded else 503)


def infer_paths(model_class: Any) -> tuple[str, str]:
    """Return the paths where a model infers: without, and with its version."""
    model = f"{PREFIX}/models/{model_class.qualified_name}"
    return f"{model}/infer", f"{model}/versions/{model_class.version}/infer"


def describe_infer(model_class: Any, rows: int) -> dict[str, Any]:
    """Return the description of infer for the contract, without its refusals.

    Args:
        model_class: an `ml_base.MLModel`.
        rows: the most of a request.
    """
    names = ", ".join(column.name for column in columns_of(model_class.input_schema))
    return {
        "name": "InferController",
        "description": (
            f"{model_class.description}\n\nBy the Open Inference Protocol, version 2, for at most {rows:,} rows. The "
            f"inputs are some of {names}, each with one element for each row; or `{MATRIX}` alone, with a column for "
            "each of them in this order, enumerations by their codes, which count from 1. A row that does not fit "
            "refuses the whole request. Tensors may come after the JSON, as the binary tensor data extension has it."
        ),
        "response_model": InferenceResponse,
        "responses": {
            200: {
                "content": {MEDIA_TYPE: _BINARY},
                "headers": {
                    _LENGTH_HEADER: {
                        "description": "Size of the JSON, where tensors come after it.",
                        "schema": {"type": "integer"},
                    }
                },
            }
        },
        "openapi_extra": {
            "parameters": [
                {
                    "name": _LENGTH_HEADER,
                    "in": "header",
                    "required": False,
                    "description": "Size of the JSON in the body, in bytes, where tensors come after it.",
                    "schema": {"type": "integer", "minimum": 0},
                }
            ],
            "requestBody": {"content": {MEDIA_TYPE: _BINARY}},
        },
    }


def _absent(models: Mapping[str, Any], name: str, version: str | None) -> Response | None:
    if name not in models:
        problem = _NOT_FOUND
    elif version is not None and version != models[name].version:
        problem = _NO_VERSION
    else:
        return None
    return JSONResponse(with_error({"type": "NotFound", "messages": [problem]}), 404)


def _metadata(model_class: Any) -> InferenceMetadata:
    inputs = [
        TensorMetadata(name=column.name, datatype="BYTES" if column.codes else "FP64", shape=[-1])
        for column in columns_of(model_class.input_schema)
    ]
    outputs = [TensorMetadata(name=name, datatype=datatype, shape=[-1]) for name, datatype in DATATYPES.items()]
    return InferenceMetadata(
        name=model_class.qualified_name,
        versions=[model_class.version],
        platform="python",
        inputs=inputs,
        outputs=outputs,
    )


def _json(content: BaseModel, status: int = 200) -> Response:
    return JSONResponse(content.model_dump(mode="json"), status)
