"""The paths of `rest_model_service` that tell of the service and its models, without a body in the request."""

import json
from typing import Any

from fastapi import FastAPI, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
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

from diabetes_risk_model.service.life import Life
from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.metrics import ServiceMetrics, exposition_of_all
from diabetes_risk_model.service.pages.headers import page_headers

# The card is a page with its style and pictures inside. Nothing else of it may do anything.
_CARD_HEADERS = page_headers("style-src 'unsafe-inline'", "img-src data:", "sandbox")


class ReadinessAnswer(ReadinessStatusResponse):  # type: ignore[misc]
    """Readiness status response, and what stands in the way."""

    reason: str | None = Field(
        default=None,
        description=(
            "Class of the error that keeps a model from being loaded; the log has the details. "
            "Or Draining, before the service ends, or OtherWorker, while another of its processes loads its models."
        ),
    )
    retrying: bool | None = Field(default=None, description="Whether the service goes on trying to load the model.")


class MetadataAnswer(ModelMetadata):  # type: ignore[misc]
    """Metadata of a model, and the statement that its package was verified by."""

    statement: dict[str, Any] | None = Field(
        default=None,
        description="What the signer said of the package, verified: an in-toto statement.",
    )
    key_ids: list[str] | None = Field(default=None, description="Ids of the trusted keys whose signatures hold.")


def add_routes(
    application: FastAPI, loading: ModelLoading, names: frozenset[str], metrics: ServiceMetrics | None
) -> None:
    """Add the paths to an application.

    Args:
        application: gets the paths.
        loading: says which models are loaded.
        names: qualified names of the models that will be.
        metrics: are at /metrics, where there are any.
    """
    life: Life = application.state.life
    # With an example, the pages of the documentation and tools that read the contract can try the path.
    name_in_path = Path(examples=sorted(names))

    @application.get("/", status_code=307, response_class=RedirectResponse)
    async def get_root(request: Request) -> Response:
        """Redirect to the documentation at /docs."""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    @application.get("/api/health", response_model=HealthStatusResponse)
    async def health_check() -> Response:
        """Tell whether the process is alive. It is, also while, and after, its model cannot be loaded.

        A restart would not help it: what can be tried again is tried again.
        """
        return _json(HealthStatusResponse(health_status=HealthStatus.HEALTHY))

    @application.get("/api/health/ready", response_model=ReadinessAnswer, responses={503: {"model": ReadinessAnswer}})
    async def readiness_check() -> Response:
        """Tell whether predictions should be sent here: 200 when every model is loaded, and else 503, and why."""
        obstacle = life.obstacle()
        if obstacle is None:
            return _json(ReadinessAnswer(readiness_status=ReadinessStatus.ACCEPTING_TRAFFIC))
        refusing = ReadinessAnswer(
            readiness_status=ReadinessStatus.REFUSING_TRAFFIC, reason=obstacle.reason, retrying=obstacle.retrying
        )
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
        response_model=MetadataAnswer,
        responses={404: {"model": Error}, 503: {"model": Error}},
    )
    async def get_model_metadata(model_qualified_name: str = name_in_path) -> Response:
        """Describe a model that is loaded: its schemas, and the statement that its package was verified by."""
        model = loading.get(model_qualified_name)
        return _json(_metadata(model)) if model is not None else missing(model_qualified_name)

    @application.get(
        "/api/models/{model_qualified_name}/card",
        response_class=Response,
        responses={
            200: {"content": {"text/html": {"schema": {"type": "string"}}}},
            404: {"model": Error},
            503: {"model": Error},
        },
    )
    async def get_model_card(model_qualified_name: str = name_in_path) -> Response:
        """Show the card of a model that is loaded: what it is for, how good it is, and where its limits are."""
        model = loading.get(model_qualified_name)
        if model is None:
            return missing(model_qualified_name)
        card = getattr(model, "card", None)
        if card is None:
            return _json(Error(type="NotFound", messages=["The model's package has no card."]), 404)
        return HTMLResponse(card, headers=_CARD_HEADERS)

    def missing(name: str) -> Response:
        if name in names:
            wait = {"Retry-After": str(loading.retry_after)}
            return _json(Error(type="NotReady", messages=["The model is not loaded."]), 503, wait)
        return _json(Error(type="NotFound", messages=["There is no model of this name."]), 404)

    if metrics is not None:

        @application.get("/metrics", include_in_schema=False)
        async def get_metrics() -> Response:
            if life.worker is None:
                content, media_type = metrics.exposition()
            else:
                content, media_type = exposition_of_all(await life.shown_by_all())
            return Response(content, headers={"Content-Type": media_type})


def _metadata(model: Any) -> MetadataAnswer:
    statement = getattr(model, "statement", None)
    return MetadataAnswer(
        statement=None if statement is None else json.loads(statement.to_payload()),
        key_ids=getattr(model, "key_ids", None),
        display_name=model.display_name,
        qualified_name=model.qualified_name,
        description=model.description,
        version=model.version,
        input_schema=model.input_schema.model_json_schema(),
        output_schema=model.output_schema.model_json_schema(),
    )


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(content.model_dump(mode="json", exclude_none=True), status, headers)
