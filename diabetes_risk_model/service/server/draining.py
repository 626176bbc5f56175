"""The server of one process, which ends without losing a request.

At SIGTERM the readiness probe says no, and every answer says `Connection: close`. So clients come back by a way that
leads elsewhere, and no connection has to be closed while a request may be on its way. After a time the port is closed,
what is under way is answered, and the process ends with status 0. SIGINT comes from a terminal, where nobody has to
take note first: the port is closed at once. A second signal ends the process at once.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from diabetes_risk_model.service.answers import CLOSE, error_answer, send_answer
from diabetes_risk_model.service.life import Life
from diabetes_risk_model.service.server.connections import watch
from diabetes_risk_model.service.server.options import ConnectionLimits, ShutdownTimes

_ENDED = error_answer(503, "Draining", "The service ends, and had no more time for this request.", headers=CLOSE)
_FORCED_STATUS = 1
_PAUSE_SECONDS = 0.5
_WAY_SECONDS = 0.005

_logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """Runs an application until a signal ends it."""

    def __init__(
        self,
        config: uvicorn.Config,
        life: Life,
        limits: ConnectionLimits,
        times: ShutdownTimes,
        parent: int | None = None,
    ) -> None:
        """Describe the server; `run` runs it.

        Args:
            config: of uvicorn.
            life: is told when the end begins.
            limits: on connections.
            times: of the end.
            parent: process that this one must not outlive.
        """
        super().__init__(config)
        self._life = life
        self._limits = limits
        self._times = times
        self._parent = parent
        self._ends: float | None = None
        self._closed = False
        self._accepting: set[asyncio.Task[object]] = set()

    @property
    def status(self) -> int:
        """The exit status of the process."""
        return _FORCED_STATUS if self.force_exit else 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the first begins the end, the second is the end."""
        if self._ends is None:
            self._drain(self._times.drain_seconds if sig == signal.SIGTERM else 0)
        else:
            self.should_exit = self.force_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        self._watching = asyncio.create_task(watch(self.server_state.connections, self._limits))
        await super().startup([])
        for listener in sockets or []:
            listener.setblocking(False)
            self._listen(listener)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, and end when what is under way is answered."""
        self._closed = True
        for listener in sockets or []:
            asyncio.get_running_loop().remove_reader(listener)
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Do what is due, ten times a second, and return whether to stop serving."""
        self._life.tell(self._held)
        if self._parent is not None and os.getppid() != self._parent and self._ends is None:
            self._drain(0)
        ending = await super().on_tick(counter)
        if self._ends is None:
            return ending
        self._close_after_answers()  # uvicorn renews these headers once a second
        return ending or time.monotonic() >= self._ends

    @property
    def _held(self) -> int:
        return len(self.server_state.connections) + len(self._accepting)

    def _listen(self, listener: socket.socket) -> None:
        if not self._closed:
            asyncio.get_running_loop().add_reader(listener, self._knocked, listener)

    def _knocked(self, listener: socket.socket) -> None:
        """Take one connection, or leave it to a worker that has fewer.

        An event loop's own server takes all that wait, so that one worker may have them all and the others nothing.
        """
        if self._life.gives_way(self._held):
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(_WAY_SECONDS, self._accept_late, listener)
        else:
            self._accept(listener)

    def _accept_late(self, listener: socket.socket) -> None:
        if not self._closed:
            self._listen(listener)
            self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was faster, or the client is gone
        except OSError as error:
            _logger.error("No connection can be taken for a moment: %s", error.strerror)
            loop.remove_reader(listener)
            loop.call_later(_PAUSE_SECONDS, self._listen, listener)
            return
        connection.setblocking(False)
        accepting = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _drain(self, seconds: float) -> None:
        self._life.drain()
        self._close_after_answers()
        self._ends = time.monotonic() + seconds

    def _close_after_answers(self) -> None:
        headers = self.server_state.default_headers
        if CLOSE[0] not in headers:
            self.server_state.default_headers = [*headers, *CLOSE]


class Ended:
    """An ASGI application around another: what the end of the process cuts off is answered too."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await self._application(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            try:
                await send_answer(send, receive, _ENDED)
            except RuntimeError:  # a part of the answer was sent before
                raise asyncio.CancelledError from None
