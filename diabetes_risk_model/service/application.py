"""The application: the paths of `rest_model_service` by the same contract, but faster, and with no bad request a 500.

A prediction takes less time than handing it to a thread does, so it is made in the event loop (`make bench`). Its
path is there from the start; until the model is loaded, and after it was refused, it answers 503.
"""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from ml_base.utilities import ModelManager
from rest_model_service.helpers import create_app, load_type
from rest_model_service.schemas import Error

from diabetes_risk_model.service.configuration import CheckedConfiguration, read_configuration
from signed_parameters import ConfigurationError

Endpoint = Callable[[Any], Coroutine[Any, Any, Response]]


def build_application(path: Path) -> FastAPI:
    """Build the application of a configuration file. The models load in the background; until then it is not ready.

    Raises:
        ConfigurationError: the file is not usable, or a model's class does not name its model and schemas itself.
    """
    configuration = read_configuration(path)
    application: FastAPI = create_app(_without_endpoints(configuration), wait_for_model_creation=False)
    application.add_exception_handler(RequestValidationError, _answer_bad_request)
    application.add_exception_handler(Exception, _answer_failure)
    for model in configuration.models:
        if model.create_endpoint:
            add_prediction(application, model.class_path)
    return application


def add_prediction(application: FastAPI, class_path: str) -> None:
    """Add the prediction of a model to the application, on the path and by the contract of `rest_model_service`.

    Args:
        application: gets the path.
        class_path: of the model's class, an `ml_base.MLModel`.

    Raises:
        ConfigurationError: the class cannot be imported, or names its model and schemas on instances only.
    """
    try:
        model_class = load_type(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"the model class {class_path!r} cannot be imported", found=str(error)) from None
    if not isinstance(getattr(model_class, "qualified_name", None), str):
        raise ConfigurationError(
            f"the model class {class_path!r} is not usable",
            expected="a class with qualified_name, description and the schemas as class attributes",
        )
    application.add_api_route(
        f"/api/models/{model_class.qualified_name}/prediction",
        _prediction(model_class),
        methods=["POST"],
        name="PredictionController",
        description=model_class.description,
        response_model=model_class.output_schema,
        responses={400: {"model": Error}, 500: {"model": Error}},
    )


def _prediction(model_class: Any) -> Endpoint:
    name = model_class.qualified_name
    manager = ModelManager()

    async def predict(data: Any) -> Response:
        try:
            model = manager.get_model(name)
        except ValueError:
            return _answer(503, "NotReady", "The model is not loaded. Ask /api/health/ready when it is.")
        return Response(model.predict(data).model_dump_json(), media_type="application/json")

    predict.__annotations__["data"] = model_class.input_schema
    return predict


def _without_endpoints(configuration: CheckedConfiguration) -> CheckedConfiguration:
    models = [model.model_copy(update={"create_endpoint": False}) for model in configuration.models]
    copy: CheckedConfiguration = configuration.model_copy(update={"models": models})
    return copy


async def _answer_bad_request(_: Request, exception: Exception) -> JSONResponse:
    """Answer 400 with a message for each problem; never with what was sent, which may be a patient's data."""
    assert isinstance(exception, RequestValidationError)
    return _answer(400, "ValidationError", *map(_describe, exception.errors()))


async def _answer_failure(_: Request, exception: Exception) -> JSONResponse:
    """Answer 500 without the exception's text; the server logs it."""
    return _answer(500, "ServiceError", f"The service failed ({type(exception).__name__}). Its log says where.")


def _answer(status: int, kind: str, *messages: str) -> JSONResponse:
    return JSONResponse(status_code=status, content=Error(type=kind, messages=list(messages)).model_dump())


def _describe(problem: dict[str, Any]) -> str:
    _, *fields = map(str, problem["loc"])
    if problem["type"] == "json_invalid":
        return f"The body is not JSON: an error at character {fields[0]}."
    return f"Field '{'.'.join(fields)}': {problem['msg']}." if fields else f"The body: {problem['msg']}."
