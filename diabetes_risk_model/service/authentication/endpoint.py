"""POST /api/token: a token for a name and a password."""

import json
import logging
import math
from collections.abc import Mapping

from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from diabetes_risk_model.service.answers import Answer, Headers, RequestRefused, failure_answer, send_answer
from diabetes_risk_model.service.authentication.form import MAXIMUM_BYTES, MEDIA_TYPE, Login, TokenRefused, read_form
from diabetes_risk_model.service.authentication.guard import users_unknown
from diabetes_risk_model.service.authentication.passwords import Busy, PasswordChecker
from diabetes_risk_model.service.authentication.throttle import Throttle, TooManyAttempts, network_of
from diabetes_risk_model.service.authentication.tokens import Tokens
from diabetes_risk_model.service.authentication.users import Users, is_name
from diabetes_risk_model.service.authentication.watching import NoUsers, WatchedUsers
from diabetes_risk_model.service.bodies import ClientGone, check_media_type, read_body

_NO_STORE: Headers = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
_BUSY_SECONDS = 1

_logger = logging.getLogger(__name__)


class TokenAnswer(BaseModel):
    """A token."""

    access_token: str = Field(description="To be sent as the header `Authorization: Bearer TOKEN`.")
    token_type: str = Field(description="Always `bearer`.")
    expires_in: int = Field(description="Seconds for which it counts.")


class TokenEndpoint:
    """Answers with tokens, as an ASGI application."""

    def __init__(
        self, tokens: Tokens, users: WatchedUsers, checker: PasswordChecker, throttle: Throttle, body_seconds: float
    ) -> None:
        """Describe it.

        Args:
            tokens: issue.
            users: those who get tokens.
            checker: checks their passwords.
            throttle: says how often.
            body_seconds: longest time until a body has arrived.
        """
        self._tokens = tokens
        self._users = users
        self._checker = checker
        self._throttle = throttle
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        network = network_of(str((scope.get("client") or [""])[0]))
        try:
            answer = await self._answer(dict(scope["headers"]), network, receive)
        except RequestRefused as refused:
            answer = refused.answer
        except ClientGone:
            return
        except Exception as failure:
            answer = failure_answer(failure)
        await send_answer(send, receive, answer._replace(headers=(*answer.headers, *_NO_STORE)))

    async def _answer(self, headers: Mapping[bytes, bytes], network: str, receive: Receive) -> Answer:
        check_media_type(headers, (MEDIA_TYPE,))
        login = read_form(await read_body(headers, receive, limit=MAXIMUM_BYTES, seconds=self._body_seconds))
        try:
            users = self._users.current()
        except NoUsers:
            raise users_unknown() from None
        # Read before the password is checked, so that a password changed meanwhile gives no token that counts.
        credential = users.credential(login.name)
        if not await self._is_right(login, users, network) or credential is None:
            _logger.warning("No token for %s, from %s.", _shown(login, users), network)
            raise TokenRefused("invalid_grant", "The name or the password is wrong.")
        _logger.info("A token for the user %s, from %s.", login.name, network)
        answer = {
            "access_token": self._tokens.issue(login.name, credential),
            "token_type": "bearer",
            "expires_in": self._tokens.seconds,
        }
        return Answer(200, json.dumps(answer).encode())

    async def _is_right(self, login: Login, users: Users, network: str) -> bool:
        """Return whether the password is right, after the same time whether there is such a user or not."""
        try:
            attempt = self._throttle.begin(login.name if is_name(login.name) else None, network)
        except TooManyAttempts as early:
            _logger.warning("Too many wrong passwords for %s, or from %s.", _shown(login, users), network)
            raise _later(429, "TooManyAttempts", "Too many wrong passwords.", early.seconds) from None
        try:
            right = await self._checker.check(users.hashes.get(login.name), login.password)
        except Busy:
            self._throttle.cancel(attempt)
            raise _later(503, "Busy", "Too many passwords are being checked.", _BUSY_SECONDS) from None
        if right:
            self._throttle.succeed(attempt)
        return right


def _shown(login: Login, users: Users) -> str:
    # What was typed for a name can be a password.
    return f"the user {login.name}" if login.name in users.hashes else "a name that no user has"


def _later(status: int, kind: str, message: str, seconds: float) -> RequestRefused:
    wait = math.ceil(seconds)
    return RequestRefused(status, kind, f"{message} Try again in {wait} s.", headers=((b"retry-after", b"%d" % wait),))
