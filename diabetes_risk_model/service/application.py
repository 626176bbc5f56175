"""The application: what `rest_model_service` builds, with every bad request answered as the contract says."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from rest_model_service.helpers import create_app
from rest_model_service.schemas import Error

from diabetes_risk_model.service.configuration import read_configuration


def build_application(path: Path) -> FastAPI:
    """Build the application of a configuration file. The models load in the background; until then it is not ready.

    Raises:
        ConfigurationError: the file is not usable.
    """
    application: FastAPI = create_app(read_configuration(path), wait_for_model_creation=False)
    application.add_exception_handler(RequestValidationError, _answer_bad_request)
    return application


async def _answer_bad_request(_: Request, exception: Exception) -> JSONResponse:
    """Answer 400 with a message for each problem; never with what was sent, which may be a patient's data."""
    assert isinstance(exception, RequestValidationError)
    error = Error(type="ValidationError", messages=[_describe(problem) for problem in exception.errors()])
    return JSONResponse(status_code=400, content=error.model_dump())


def _describe(problem: dict[str, object]) -> str:
    location = problem["loc"]
    fields = [str(part) for part in location[1:]] if isinstance(location, tuple) else []
    if problem["type"] == "json_invalid":
        return f"The body is not JSON: an error at character {fields[0]}."
    return f"Field '{'.'.join(fields)}': {problem['msg']}." if fields else f"The body: {problem['msg']}."
