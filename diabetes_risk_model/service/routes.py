"""The paths of `rest_model_service` that tell of the service and its models, without a body in the request."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse, Response
from ml_base.utilities import ModelManager
from pydantic import Field
from rest_model_service.schemas import (
    Error,
    HealthStatus,
    HealthStatusResponse,
    ModelDetailsCollection,
    ModelMetadata,
    ReadinessStatus,
    ReadinessStatusResponse,
    StartupStatus,
    StartupStatusResponse,
)

from diabetes_risk_model.service.loading import ModelLoading


class ReadinessAnswer(ReadinessStatusResponse):  # type: ignore[misc]
    """Readiness status response, and what stands in the way."""

    reason: str | None = Field(
        default=None, description="Class of the error that keeps a model from being loaded. The log has the details."
    )
    retrying: bool | None = Field(default=None, description="Whether the service goes on trying to load the model.")


def add_routes(application: FastAPI, loading: ModelLoading, names: frozenset[str]) -> None:
    """Add the paths to an application.

    Args:
        application: gets the paths.
        loading: says which models are loaded.
        names: qualified names of the models that will be.
    """

    @application.get("/", status_code=307, response_class=RedirectResponse)
    async def get_root() -> Response:
        """Redirect to the documentation at /docs."""
        return RedirectResponse("/docs")

    @application.get("/api/health", response_model=HealthStatusResponse)
    async def health_check() -> Response:
        """Tell whether the process is alive. It is, also while, and after, its model cannot be loaded.

        A restart would not help it: what can be tried again is tried again.
        """
        return _json(HealthStatusResponse(health_status=HealthStatus.HEALTHY))

    @application.get("/api/health/ready", response_model=ReadinessAnswer, responses={503: {"model": ReadinessAnswer}})
    async def readiness_check() -> Response:
        """Tell whether predictions are answered: 200 when every model is loaded, and until then 503, and why."""
        if loading.ready:
            return _json(ReadinessAnswer(readiness_status=ReadinessStatus.ACCEPTING_TRAFFIC))
        refusing = ReadinessAnswer(readiness_status=ReadinessStatus.REFUSING_TRAFFIC)
        if loading.reason is not None:
            refusing.reason, refusing.retrying = loading.reason, loading.retrying
        return _json(refusing, 503)

    @application.get(
        "/api/health/startup", response_model=StartupStatusResponse, responses={503: {"model": StartupStatusResponse}}
    )
    async def startup_check() -> Response:
        """Tell whether the service has started: 200 when it has tried to load its models, whatever came of it."""
        if loading.attempted:
            return _json(StartupStatusResponse(startup_status=StartupStatus.STARTED))
        return _json(StartupStatusResponse(startup_status=StartupStatus.NOT_STARTED), 503)

    @application.get("/api/models", response_model=ModelDetailsCollection)
    async def get_models() -> Response:
        """List the models that are loaded."""
        return _json(ModelDetailsCollection(models=ModelManager().get_models()))

    @application.get(
        "/api/models/{model_qualified_name}/metadata",
        response_model=ModelMetadata,
        responses={404: {"model": Error}, 503: {"model": Error}},
    )
    async def get_model_metadata(model_qualified_name: str) -> Response:
        """Describe a model that is loaded, with the schemas of its input and output."""
        model = loading.get(model_qualified_name)
        if model is not None:
            return _json(_metadata(model))
        if model_qualified_name in names:
            wait = {"Retry-After": str(loading.retry_after)}
            return _json(Error(type="NotReady", messages=["The model is not loaded."]), 503, wait)
        return _json(Error(type="NotFound", messages=["There is no model of this name."]), 404)


def _metadata(model: Any) -> ModelMetadata:
    return ModelMetadata(
        display_name=model.display_name,
        qualified_name=model.qualified_name,
        description=model.description,
        version=model.version,
        input_schema=model.input_schema.model_json_schema(),
        output_schema=model.output_schema.model_json_schema(),
    )


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(content.model_dump(mode="json", exclude_none=True), status, headers)
