"""Clients that drip their bodies, and clients that break off, beside another load."""

import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CLIENTS = 10
_PAUSE_SECONDS = 0.2
_LONGEST_SECONDS = 30.0
_LENGTH = 10_000


class SlowClients:
    """Ten clients, from entry to exit. Half drip a byte now and then until they are told off; half break off at once.

    Attributes:
        statuses: of the answers to those that drip, as "408", each with how often; "none" where none came.
    """

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self.statuses: Counter[str] = Counter()
        self._address = (str(parts.hostname), int(parts.port or 80))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: {_LENGTH}\r\n\r\n"
        )
        self._head = head.encode()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._drip if number % 2 else self._break_off, daemon=True)
            for number in range(_CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _drip(self) -> None:
        while not self._ended.is_set():
            status = self._answer()
            if status is not None:
                with self._lock:
                    self.statuses[status] += 1

    def _answer(self) -> str | None:
        """Drip one body. Return the status of the answer; None where the time is up before it."""
        with socket.create_connection(self._address, timeout=_PAUSE_SECONDS) as connection:
            connection.sendall(self._head)
            for _ in range(int(_LONGEST_SECONDS / _PAUSE_SECONDS)):
                if self._ended.is_set():
                    return None
                try:
                    connection.sendall(b" ")
                    received = connection.recv(4_096)
                except TimeoutError:
                    continue
                except OSError:
                    break
                return received.split(b" ", 2)[1].decode() if received.startswith(b"HTTP/") else "none"
        return "none"

    def _break_off(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            with socket.create_connection(self._address, timeout=_LONGEST_SECONDS) as connection:
                connection.sendall(self._head + b"{")
