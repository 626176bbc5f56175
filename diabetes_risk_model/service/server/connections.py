"""What one connection may cost.

uvicorn's own protocol bounds neither the time and size of a request's head nor the time that an answer waits to be
read, and its own refusals are plain text.
"""

import asyncio
import logging
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from diabetes_risk_model.service.answers import CLOSE, Answer, error_answer, send_answer
from diabetes_risk_model.service.server.options import ConnectionLimits

WATCH_SECONDS = 0.5
_HEALTH = "/api/health"
_LINE_BYTES = 4  # ": " and the end of the line, beside name and value

_CROWDED = error_answer(
    503,
    "TooManyConnections",
    "The service has as many connections as it serves. Try again.",
    headers=(*CLOSE, (b"retry-after", b"1")),
)
_MALFORMED = error_answer(400, "BadRequest", "This is not a request of HTTP.", headers=CLOSE)
_LARGE_HEAD = error_answer(431, "HeadTooLarge", "The head of the request is too large.", headers=CLOSE)
_SLOW_HEAD = error_answer(408, "RequestTimeout", "The head of the request did not arrive in time.", headers=CLOSE)

_logger = logging.getLogger(__name__)


class _HeadTooLarge(Exception):
    pass


class GuardedProtocol(HttpToolsProtocol):
    """A connection within limits.

    Attributes:
        limits: hold for it.
        head_since: time of the loop since which the head of a request is awaited; None while none is.
        head_begun: whether a part of that head is there.
        unread_since: time of the loop since which the client has not read all that was sent; None while it has.
    """

    limits: ConnectionLimits
    head_since: float | None = None
    head_begun = False
    unread_since: float | None = None
    _head_bytes = 0
    _piece_bytes = 0
    _refusal = _MALFORMED

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.head_since = self.loop.time()
        if len(self.connections) > 2 * self.limits.most:
            transport.abort()
        elif len(self.connections) > self.limits.most:
            self.app = _Crowded(self.app)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._piece_bytes = len(data)
        begun = self.head_begun
        super().data_received(data)
        # The piece in which a head begins may hold the end of a body before.
        if begun and self.head_begun and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self.refuse(_LARGE_HEAD)

    def on_message_begin(self) -> None:
        """Take the first byte of a head."""
        super().on_message_begin()
        self._head_bytes = 0
        self.head_begun = True
        self.head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Take the end of a head."""
        self.head_since = None
        self.head_begun = False
        # Only then can it be too large.
        if self._head_bytes + self._piece_bytes > self.limits.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + _LINE_BYTES for name, value in self.headers)
            if size > self.limits.head_bytes:
                self._refusal = _LARGE_HEAD
                raise _HeadTooLarge  # ends the parser's work
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self.refuse(self._refusal)

    def refuse(self, answer: Answer) -> None:
        """Answer without a request, and close the connection."""
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        status = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n".encode()
        self.transport.write(status + lines + b"\r\n" + answer.body)
        self.transport.close()

    def check(self, now: float) -> None:
        """Cut the connection off where a limit on time is passed."""
        if self.transport.get_write_buffer_size() == 0:
            self.unread_since = None
        elif self.unread_since is None:
            self.unread_since = now
        elif now - self.unread_since > self.limits.answer_seconds:
            self.transport.abort()
        if self.transport.is_closing():
            return
        if self.head_since is not None:
            if now - self.head_since > self.limits.head_seconds:
                self._cut_head()
        elif self.timeout_keep_alive_task is None and self.cycle is not None and self.cycle.response_complete:
            # What came ended the time between requests, but began none: the rest of a body, or empty lines.
            self.head_since = now

    def _cut_head(self) -> None:
        if self.head_begun:
            self.refuse(_SLOW_HEAD)
        else:
            self.transport.close()


class _Crowded:
    """An ASGI application that answers the probes and nobody else: a restart would help nobody."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["path"].startswith(_HEALTH):
            await self._application(scope, receive, send)
        else:
            await send_answer(send, receive, _CROWDED)


def guarded_by(limits: ConnectionLimits) -> type[GuardedProtocol]:
    """Return the protocol for connections within these limits."""

    class Guarded(GuardedProtocol):
        pass

    Guarded.limits = limits
    return Guarded


async def watch(connections: Iterable[object], limits: ConnectionLimits) -> None:
    """Cut off connections that pass a limit on time, until cancelled.

    Args:
        connections: of the server; read anew each time.
        limits: tell when there are too many.
    """
    loop = asyncio.get_running_loop()
    crowded = False
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        now = loop.time()
        present = [connection for connection in connections if isinstance(connection, GuardedProtocol)]
        for connection in present:
            connection.check(now)
        was_crowded, crowded = crowded, len(present) > limits.most
        if crowded and not was_crowded:
            _logger.warning("More than %d connections: new ones are turned away.", limits.most)
