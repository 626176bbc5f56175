"""Storage behind an HTTPS server, for reading only. Whoever publishes there does so by other means."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never
from urllib.parse import quote, urlsplit

import urllib3

from signed_parameters.errors import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable
from signed_parameters.limits import DEFAULT_LIMITS, Limits
from signed_parameters.storage.base import Download, Storage, took_too_long
from signed_parameters.storage.careful_pool import TookTooLong, careful_pool, chunks, is_url

_LENGTH = re.compile(r"[0-9]{1,18}")
_OK = 200
_SECURE = "https"


class HttpsStorage(Storage):
    """A folder of an HTTPS server."""

    def __init__(self, folder: str, limits: Limits = DEFAULT_LIMITS, *, headers: dict[str, str] | None = None) -> None:
        """Describe it; nothing is asked of the server yet.

        Args:
            folder: its URL. `http://` is taken only for this machine, as in trials.
            limits: bounds on waiting.
            headers: that go with every request, such as `Authorization`.

        Raises:
            ConfigurationError: the URL is not usable, as `check_url` has it.
        """
        check_url(folder)
        parts = urlsplit(folder)
        if parts.scheme != _SECURE and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ConfigurationError(f"{folder} is not usable", expected="https://...", found=f"{parts.scheme}://")
        self._folder = folder.rstrip("/")
        self._limits = limits
        self._headers = headers or {}
        self._pool = careful_pool(folder, limits)

    def address(self, name: str) -> str:
        """Return the object's URL."""
        return f"{self._folder}/{quote(name, errors='surrogateescape')}"

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        """Open the object for reading."""
        with self._errors(name):
            response = self._pool.urlopen("GET", self.address(name), preload_content=False, headers=self._headers)
        try:
            self._check(name, response.status)
            length = response.headers.get("content-length", "")
            yield Download(int(length) if _LENGTH.fullmatch(length) else None, self._chunks(name, response))
        finally:
            response.close()

    def _chunks(self, name: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        with self._errors(name):
            yield from chunks(response)

    def write(self, name: str, source: Path, *, overwrite: bool = False) -> None:
        """Refuse."""
        self._refuse("be written to")

    def write_bytes(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        """Refuse."""
        self._refuse("be written to")

    def names(self, suffix: str = "") -> Iterator[str]:
        """Refuse."""
        self._refuse("be listed")

    def _refuse(self, what: str) -> Never:
        raise ConfigurationError(
            f"{self._folder} cannot {what}",
            expected="s3://..., gs://..., az://..., or a folder",
            remedy="An HTTPS address is for reading packages only.",
        )

    def _check(self, name: str, status: int) -> None:
        address = self.address(name)
        match status:
            case 200:
                return
            case 404 | 410:
                raise NotFound(f"{address} does not exist", found=f"HTTP {status}", remedy="Check the address.")
            case 401 | 403:
                raise AccessDenied(
                    f"the server refuses access to {address}", found=f"HTTP {status}", remedy="Check the credentials."
                )
        kind = Unavailable if status >= 500 or status == 429 else StorageError
        raise kind(
            f"the server failed at {address}",
            expected=f"HTTP {_OK}",
            found=f"HTTP {status}",
            remedy="Redirects are not followed: use the address that they lead to." if 300 <= status < 400 else "",
        )

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except TookTooLong:
            raise took_too_long(self.address(name), self._limits) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
            raise Unavailable(
                f"the server does not answer, or broke off, at {self.address(name)}",
                found=type(reason).__name__,
                remedy="Check that the server runs and that its address is right, then try again.",
            ) from None


def check_url(url: str) -> None:
    """Raise ConfigurationError where a URL is not usable, or has a password, a query or a fragment.

    Those may be secrets. So it is not shown, and none is ever part of an address that is shown later.
    """
    if not is_url(url):
        raise ConfigurationError(
            "the address is not usable",
            expected="https://HOST/FOLDER, without a password or a query",
            remedy="Tokens are given by the environment, not in addresses.",
        )
