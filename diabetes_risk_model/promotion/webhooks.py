"""MLflow's webhooks: a message from the registry wakes the watcher, if its HMAC and its time are right.

A message is only ever a reason to look. What it says is not read: the watcher asks the registry, as it does anyway.
Whoever reaches the port can hold up messages, but no more than that: connections are few, and none lasts.
"""

import base64
import binascii
import hashlib
import hmac
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from signed_parameters import ConfigurationError

SECRET_VARIABLE = "PROMOTION_WEBHOOK_SECRET"
MINIMUM_SECRET = 32  # characters
_SIGNATURE, _TIME, _DELIVERY = "X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"
_SECONDS = 300  # by which a message may be early or late
_MAXIMUM_BYTES = 256 << 10
_REQUEST_SECONDS = 5.0  # for a whole request, however it comes; MLflow tries a message again for 6 seconds or more
_CONNECTIONS = 8  # at a time
_PAUSE_SECONDS = 0.2  # where none can be accepted
_REMEMBERED = 4_096  # deliveries
_WHOLE = re.compile(r"[0-9]{1,12}")
_ACCEPTED, _REFUSED, _TOO_LARGE = 204, 403, 413


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Tell whether the holder of a secret sent a message lately.

    Args:
        secret: shared with the registry.
        headers: of the request, by their names as MLflow writes them.
        body: of the request.
        now: seconds since the epoch.
    """
    delivery, sent, signature = (headers.get(name) or "" for name in (_DELIVERY, _TIME, _SIGNATURE))
    version, _, encoded = signature.partition(",")
    try:
        claimed = base64.b64decode(encoded, validate=True)
        signed = f"{delivery}.{sent}.".encode("latin-1") + body
    except (binascii.Error, ValueError):
        return False
    expected = hmac.digest(secret.encode(), signed, hashlib.sha256)
    good = hmac.compare_digest(claimed, expected) and version == "v1" and bool(delivery)
    return good and _WHOLE.fullmatch(sent) is not None and abs(now - int(sent)) <= _SECONDS


class Wakener:
    """Listens for messages in a thread. Use it as a context manager, and `wait` for the next message."""

    def __init__(self, secret: str, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the port.

        Args:
            secret: shared with the registry, of 32 characters or more.
            host: address to listen on.
            port: 0 takes a free one.

        Raises:
            ConfigurationError: the secret is too short, or the port is taken.
        """
        if len(secret) < MINIMUM_SECRET:
            raise ConfigurationError(
                "the secret of the webhooks is too short",
                expected=f"at least {MINIMUM_SECRET} characters",
                found=f"{len(secret)}",
                remedy=f"Set {SECRET_VARIABLE} to the secret that MLflow's webhook was made with.",
            )
        self._woken = threading.Event()
        try:
            self._server = _Server((host, port), _handler(secret, self._woken))
        except OSError as error:
            raise ConfigurationError(f"{host}:{port} cannot be listened on", found=str(error.strerror)) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhooks", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def wait(self, seconds: float) -> bool:
        """Wait for the next message, and return whether one came in that time."""
        woken = self._woken.wait(seconds)
        self._woken.clear()
        return woken

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    """A thread for each connection, but few of them; each connection is shut down when its time is over."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._deadlines: dict[socket.socket, float] = {}  # of the open connections
        super().__init__(*arguments)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        try:
            return super().get_request()
        except OSError:  # as where the process has no file descriptor left: it would be asked again at once
            time.sleep(_PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, or close it where there are enough."""
        if len(self._deadlines) >= _CONNECTIONS:
            self.shutdown_request(request)
            return
        self._deadlines[request] = time.monotonic() + _REQUEST_SECONDS
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        super().shutdown_request(request)
        self._deadlines.pop(request, None)

    def service_actions(self) -> None:
        """Shut down what has had its time. `serve_forever` calls this twice a second, and after each connection."""
        self._shut_down(time.monotonic())

    def server_close(self) -> None:
        """Close the port and all connections."""
        super().server_close()
        self._shut_down(float("inf"))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who hang up: anybody could fill the log."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _shut_down(self, now: float) -> None:
        for connection, deadline in list(self._deadlines.items()):
            if deadline <= now:
                with suppress(OSError):  # its thread may have closed it
                    connection.shutdown(socket.SHUT_RDWR)


class _Deliveries:
    """The ids of genuine messages, each for as long as it can come again and still be genuine."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}
        self._lock = threading.Lock()

    def is_new(self, delivery: str, sent: int, now: float) -> bool:
        """Remember a message, and tell whether it comes for the first time."""
        with self._lock:
            self._ends = {known: end for known, end in self._ends.items() if end >= now}
            if delivery in self._ends:
                return False
            if len(self._ends) >= _REMEMBERED:
                del self._ends[next(iter(self._ends))]  # the oldest; at worst it wakes once more
            self._ends[delivery] = sent + _SECONDS
            return True

    def __len__(self) -> int:
        return len(self._ends)


def _handler(secret: str, woken: threading.Event) -> type[BaseHTTPRequestHandler]:
    deliveries = _Deliveries()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take a message."""
            length = self.headers.get("Content-Length", "")
            if not _WHOLE.fullmatch(length) or int(length) > _MAXIMUM_BYTES:
                self._answer(_TOO_LARGE)
                return
            body, now = self.rfile.read(int(length)), time.time()
            told = {name: self.headers.get(name, "") for name in (_DELIVERY, _TIME, _SIGNATURE)}
            good = len(body) == int(length) and is_genuine(secret, told, body, now)
            if good and deliveries.is_new(told[_DELIVERY], int(told[_TIME]), now):
                woken.set()
            self._answer(_ACCEPTED if good else _REFUSED)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: anybody could fill the log."""

    return Handler
