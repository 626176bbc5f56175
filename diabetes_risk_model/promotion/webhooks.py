"""MLflow's webhooks: a message from the registry wakes the watcher, if its HMAC and its time are right.

A message is only ever a reason to look. What it says is not read: the watcher asks the registry, as it does anyway.
"""

import base64
import binascii
import hashlib
import hmac
import re
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from signed_parameters import ConfigurationError

SECRET_VARIABLE = "PROMOTION_WEBHOOK_SECRET"
MINIMUM_SECRET = 32  # characters
_SIGNATURE, _TIME, _DELIVERY = "X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"
_SECONDS = 300  # by which a message may be early or late
_MAXIMUM_BYTES = 256 << 10
_READ_SECONDS = 10.0
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
            self._server = ThreadingHTTPServer((host, port), _handler(secret, self._woken))
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


def _handler(secret: str, woken: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_SECONDS

        def do_POST(self) -> None:
            """Take a message."""
            length = self.headers.get("Content-Length", "")
            if not _WHOLE.fullmatch(length) or int(length) > _MAXIMUM_BYTES:
                self._answer(_TOO_LARGE)
                return
            try:
                body = self.rfile.read(int(length))
            except OSError:
                self.close_connection = True
                return
            told = {name: self.headers.get(name, "") for name in (_DELIVERY, _TIME, _SIGNATURE)}
            good = len(body) == int(length) and is_genuine(secret, told, body, time.time())
            if good:
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
