"""Gives every request an id, and tells metrics and log of it. Neither learns what was asked or answered."""

import logging
import re
import secrets
import time
from contextvars import ContextVar
from itertools import count
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diabetes_risk_model.service.metrics import ServiceMetrics

REQUEST_ID: ContextVar[str | None] = ContextVar("REQUEST_ID", default=None)
UNKNOWN_PATH = "unknown"

_HEADER = b"x-request-id"
_USABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_logger = logging.getLogger("diabetes_risk_model.service.requests")


class Observation:
    """An ASGI application around another."""

    def __init__(self, application: ASGIApp, metrics: ServiceMetrics | None, *, log: bool) -> None:
        """Describe it.

        Args:
            application: answers the requests.
            metrics: are told of each request.
            log: whether a line is logged for each request.
        """
        self._application = application
        self._metrics = metrics
        self._log = log
        self._process = secrets.token_hex(6)
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request_id = self._request_id(scope)
        REQUEST_ID.set(request_id.decode())
        started = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, request_id)]
            await send(message)

        try:
            await self._application(scope, receive, watched)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _request_id(self, scope: Scope) -> bytes:
        """Return the id that a proxy gave the request, if it is harmless in a log, or else a new one."""
        for name, value in scope["headers"]:
            if name == _HEADER and _USABLE.fullmatch(value):
                return bytes(value)
        return f"{self._process}-{next(self._numbers)}".encode()

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        if self._metrics is None and not self._log:
            return
        path = path_template(scope)
        if self._metrics is not None:
            self._metrics.count_request(scope["method"], path, status, seconds)
        if self._log:
            fields: dict[str, Any] = {
                "method": scope["method"],
                "path": path,
                "status": status,
                "milliseconds": round(seconds * 1_000, 3),
            }
            _logger.info("%s %s %d", scope["method"], path, status, extra={"fields": fields})


def path_template(scope: Scope) -> str:
    """Return the template of the path that a request was for: those are few, and none holds what a client wrote."""
    template = getattr(scope.get("route"), "path", UNKNOWN_PATH)
    return str(template)
