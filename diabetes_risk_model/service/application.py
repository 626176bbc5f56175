"""The application: the paths of `rest_model_service` by the same contract, and what a production service needs besides.

A prediction takes less time than handing it to a thread does, so it is made in the event loop (`make bench`). Its
path is there from the start; until the model is loaded, and after it was refused, it answers 503.
"""

import logging.config
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from rest_model_service.helpers import load_type
from rest_model_service.schemas import Error
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from diabetes_risk_model.service.answers import failure_answer
from diabetes_risk_model.service.configuration import CheckedConfiguration, read_configuration
from diabetes_risk_model.service.endpoints import CSV, BatchEndpoint, ModelEndpoint, PredictionEndpoint
from diabetes_risk_model.service.inference.endpoint import InferenceEndpoint, can_infer
from diabetes_risk_model.service.inference.routes import add_protocol_routes, describe_infer, infer_paths
from diabetes_risk_model.service.inference.schemas import InferenceError, InferenceRequest, is_protocol_path, with_error
from diabetes_risk_model.service.life import Life
from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.metrics import ServiceMetrics
from diabetes_risk_model.service.observation import Observation
from diabetes_risk_model.service.pages.documentation import add_documentation
from diabetes_risk_model.service.pages.trial import add_trial, can_be_tried
from diabetes_risk_model.service.routes import add_routes
from signed_parameters import ConfigurationError

if TYPE_CHECKING:
    from diabetes_risk_model.service.authentication.attachment import Authentication

_REFUSALS = {
    400: "The body does not fit.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    500: "The service failed.",
    503: "The model is not loaded. The header Retry-After says when to ask again.",
}


class Application(FastAPI):
    """A FastAPI application that hands the requests of some paths to endpoints directly."""

    def __init__(self, **description: Any) -> None:
        super().__init__(**description, redirect_slashes=False, docs_url=None, redoc_url=None)
        self._direct: dict[tuple[str, str], tuple[BaseRoute, ASGIApp]] = {}
        self._observation = Observation(self._dispatch, None, log=False)
        self._authentication: Authentication | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._observation(scope, receive, send)

    def observe(self, metrics: ServiceMetrics | None, *, log: bool) -> None:
        """Tell metrics and log of each request."""
        self._observation = Observation(self._dispatch, metrics, log=log)

    def authenticate(self, authentication: "Authentication") -> None:
        """Let the endpoints that are added from now on need a token, and give tokens."""
        self._authentication = authentication
        authentication.add_to(self)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            direct = self._direct.get((scope["method"], scope["path"]))
            if direct is not None:
                scope["route"], endpoint = direct
                await endpoint(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def add_direct(self, path: str, endpoint: ASGIApp, body: Any, **description: Any) -> None:
        """Add an endpoint for POST. After `authenticate`, an endpoint of a model needs a token.

        Args:
            path: where it is.
            endpoint: answers the requests.
            body: type of the body in JSON, for the contract.
            description: of the route, for the contract, as for `add_api_route`.
        """

        async def described(data: Any) -> None:
            """Stand in the contract for the endpoint."""

        if self._authentication is not None and isinstance(endpoint, ModelEndpoint):
            endpoint.guard = self._authentication.guard.check
            description = self._authentication.describe(description)
        described.__annotations__["data"] = body
        self.add_api_route(path, described, methods=["POST"], **description)
        route = self.routes[-1]
        # Where the server has a root path, requests reach the route.
        route.app = endpoint  # type: ignore[attr-defined]
        self._direct["POST", path] = route, endpoint

    def openapi(self) -> dict[str, Any]:
        """Return the contract, without the 422 that FastAPI adds: this application answers 400."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(name, None)
        assert self.openapi_schema is not None
        return self.openapi_schema


def build_application(path: Path) -> Application:
    """Build the application of a configuration file. When it is served, it loads its models in the background.

    Raises:
        ConfigurationError: the file is not usable, or a model's class does not name its model and schemas itself.
    """
    return application_of(read_configuration(path))


def application_of(configuration: CheckedConfiguration) -> Application:
    """Build the application of a configuration.

    Raises:
        ConfigurationError: a model's class cannot be imported, or names its model and schemas on instances only, or
            metrics are wanted and their library is missing, or a signing secret or the users file is not usable.
    """
    if configuration.logging is not None:
        logging.config.dictConfig(configuration.logging)
    loading = ModelLoading(configuration.models, configuration.retries)
    metrics = ServiceMetrics(loading) if configuration.metrics is not None and configuration.metrics.enabled else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading.start()
        yield
        loading.stop()

    application = Application(
        title=configuration.service_title,
        description=configuration.description,
        version=configuration.version,
        lifespan=lifespan,
    )
    application.state.life = Life(loading, None if metrics is None else metrics.to_bytes)
    application.observe(metrics, log=configuration.log_requests)
    application.add_exception_handler(HTTPException, _answer_refusal)
    application.add_exception_handler(Exception, _answer_failure)
    classes = [(model, _model_class(model.class_path)) for model in configuration.models]
    add_routes(application, loading, frozenset(known.qualified_name for _, known in classes), metrics)
    add_documentation(application)
    if tried := [known for model, known in classes if model.create_endpoint and can_be_tried(known)]:
        add_trial(application, tried[0])
    if configuration.authentication is not None:
        from diabetes_risk_model.service.authentication.attachment import Authentication

        application.authenticate(Authentication(configuration.authentication, configuration.limits.body_seconds))
    inferring: dict[str, Any] = {}
    for model, known in classes:
        if model.create_endpoint:
            # A decorator changes `predict` only, so all else would go round it.
            plain = hasattr(known, "answer_plain") and not model.decorators
            endpoint = PredictionEndpoint(known, loading, configuration.limits, metrics, plain=plain)
            _add_prediction(application, known, endpoint)
            if hasattr(known, "predict_batch") and not model.decorators:
                batch = BatchEndpoint(known, loading, configuration.limits, metrics)
                _add_batch(application, known, batch)
                if can_infer(known):
                    infer = InferenceEndpoint(known, loading, configuration.limits, metrics, batch.turns)
                    _add_infer(application, known, infer)
                    inferring[known.qualified_name] = known
    add_protocol_routes(application, loading, inferring)
    return application


def _model_class(class_path: str) -> Any:
    try:
        model_class = load_type(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"the model class {class_path!r} cannot be imported", found=str(error)) from None
    if not isinstance(getattr(model_class, "qualified_name", None), str):
        raise ConfigurationError(
            f"the model class {class_path!r} is not usable",
            expected="a class with qualified_name, description and the schemas as class attributes",
        )
    return model_class


def _add_prediction(application: Application, model_class: Any, endpoint: PredictionEndpoint) -> None:
    application.add_direct(
        f"/api/models/{model_class.qualified_name}/prediction",
        endpoint,
        model_class.input_schema,
        name="PredictionController",
        description=model_class.description,
        response_model=model_class.output_schema,
        responses=_refusals(),
    )


def _add_batch(application: Application, model_class: Any, endpoint: BatchEndpoint) -> None:
    limits = endpoint.limits
    table = {"type": "string", "description": "The first line names the columns. An empty cell is a missing answer."}
    application.add_direct(
        f"/api/models/{model_class.qualified_name}/predictions",
        endpoint,
        Annotated[list[model_class.input_schema], Field(max_length=limits.batch_rows)],
        name="BatchController",
        description=(
            f"{model_class.description}\n\nAnswers at most {limits.batch_rows:,} rows at once, in their order. Rows "
            "that do not fit are reported by their index, and the others are answered. Only this application has "
            "this path; rest_model_service does not."
        ),
        response_model=model_class.batch_output_schema,
        responses=_refusals(),
        openapi_extra={"requestBody": {"content": {CSV: {"schema": table}}}},
    )


def _add_infer(application: Application, model_class: Any, endpoint: InferenceEndpoint) -> None:
    description = describe_infer(model_class, endpoint.limits.batch_rows)
    description["responses"] |= _refusals(InferenceError)
    for path in infer_paths(model_class):
        application.add_direct(path, endpoint, InferenceRequest, **description)


def _refusals(schema: type[BaseModel] = Error) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": schema, "description": text} for status, text in _REFUSALS.items()}


async def _answer_refusal(request: Request, exception: Exception) -> JSONResponse:
    """Answer what the framework refuses, such as an unknown path."""
    assert isinstance(exception, HTTPException)
    status = HTTPStatus(exception.status_code)
    headers = dict(exception.headers or {})
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        headers["Connection"] = "close"  # because nobody reads the body
    kind = status.phrase.title().replace(" ", "")
    content = Error(type=kind, messages=[f"{status.phrase}."]).model_dump()
    if is_protocol_path(request.scope):
        content = with_error(content)
    return JSONResponse(content, status, headers)


async def _answer_failure(_: Request, exception: Exception) -> Response:
    answer = failure_answer(exception)
    return Response(answer.body, answer.status, media_type="application/json")
