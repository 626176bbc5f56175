"""Puts the parts of the authentication together for an application."""

import logging
from pathlib import Path
from typing import Any, Protocol

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from rest_model_service.schemas import Error
from starlette.types import ASGIApp

from diabetes_risk_model.prediction.settings import fill_in
from diabetes_risk_model.service.authentication.endpoint import TokenAnswer, TokenEndpoint
from diabetes_risk_model.service.authentication.form import MEDIA_TYPE, SCHEMA, TokenError
from diabetes_risk_model.service.authentication.guard import Guard
from diabetes_risk_model.service.authentication.passwords import PasswordChecker
from diabetes_risk_model.service.authentication.settings import AuthenticationSettings
from diabetes_risk_model.service.authentication.throttle import Throttle
from diabetes_risk_model.service.authentication.tokens import Tokens
from diabetes_risk_model.service.authentication.watching import WatchedUsers

PATH = "/api/token"
_REFUSALS = {
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    429: "Too many wrong passwords. The header Retry-After says when to try again.",
    500: "The service failed.",
    503: "Too many passwords are being checked, or the users file is not usable. The header Retry-After says when "
    "to try again.",
}

_logger = logging.getLogger(__name__)


class AddsPaths(Protocol):
    """An application."""

    def add_direct(self, path: str, endpoint: ASGIApp, body: Any, **description: Any) -> None:
        """Add an endpoint for POST."""


class Authentication:
    """The authentication of a service.

    Attributes:
        guard: decides on requests.
    """

    def __init__(self, settings: AuthenticationSettings, body_seconds: float) -> None:
        """Read the signing secrets and the users.

        Args:
            settings: from the configuration file.
            body_seconds: longest time until a body has arrived.

        Raises:
            ConfigurationError: a secret or the users file is not usable.
        """
        users = WatchedUsers(Path(str(fill_in("authentication.users_file", settings.users_file))))
        tokens = Tokens(settings)
        _logger.info("Predictions need a token. Users: %d.", len(users.current().hashes))
        self.guard = Guard(tokens, users, settings.audience)
        self._endpoint = TokenEndpoint(
            tokens, users, PasswordChecker(settings.hashes_at_once), Throttle(settings.guessing), body_seconds
        )
        # Only the contract knows it: the endpoints do not go through the framework.
        self._scheme = Depends(OAuth2PasswordBearer(tokenUrl=PATH.removeprefix("/")))

    def describe(self, description: dict[str, Any]) -> dict[str, Any]:
        """Return the description of a path, and that it needs a token."""
        refusals = dict(description.get("responses", {}))
        schema = refusals.get(400, {}).get("model", Error)
        refusals[401] = {
            "model": schema,
            "description": "The request has no token that counts. The header WWW-Authenticate says what is missing.",
        }
        return {**description, "responses": dict(sorted(refusals.items())), "dependencies": [self._scheme]}

    def add_to(self, application: AddsPaths) -> None:
        """Add POST /api/token to an application."""
        application.add_direct(
            PATH,
            self._endpoint,
            Request,  # because the framework reads no forms without another library
            name="TokenController",
            description="Give a token for a name and a password, by the password flow of OAuth 2.0.",
            response_model=TokenAnswer,
            responses={
                400: {"model": TokenError, "description": "The form does not fit, or the name or password is wrong."},
                **{status: {"model": Error, "description": text} for status, text in _REFUSALS.items()},
            },
            openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}},
        )
