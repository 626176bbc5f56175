"""HTTP connections to a server that is not trusted: no redirects, and bounds on what is read of its answers."""

import http.client
import io
import ipaddress
import os
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import CHUNK_BYTES, DEFAULT_LIMITS, Limits

_CONNECTIONS = 16
_RETRIES = 2
_RETRY_BACKOFF_SECONDS = 0.2
_RETRY_STATUSES = (429, 500, 502, 503, 504)
_GOOD_STATUSES = (200, 204, 206)
_NOT_IMPLEMENTED = 501
_MOUNTED_AUTHORITIES = "cabundle.crt"
_CHUNK_BYTES = 128 << 10  # more than that leaves the processor's cache before it is hashed
_MAXIMUM_ERROR_BYTES = 16_384
_MAXIMUM_ANSWER_BYTES = 8 << 20
_LARGEST_PORT = 65_535
_URL = re.compile(
    r"https?://([A-Za-z0-9][A-Za-z0-9._-]*|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(:(?P<port>[0-9]{1,5}))?"
    r"(/[^?#\x00-\x1f\x7f\ud800-\udfff]*)?"
)


class UnusableAnswer(urllib3.exceptions.HTTPError):
    """The server's answer is not one to go on with. The message says why."""


class TookTooLong(urllib3.exceptions.HTTPError):
    """An answer did not come within its time."""


class _Timely(io.RawIOBase):
    """What a connection sends, up to a deadline: neither a header nor a body may drip in for ever."""

    def __init__(self, connection: io.RawIOBase, seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TookTooLong
        return self._connection.readinto(buffer)

    def close(self) -> None:
        self._connection.close()
        super().close()


class _TimelyResponse(http.client.HTTPResponse):
    def __init__(self, seconds: float, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp = io.BufferedReader(_Timely(self.fp.detach(), seconds))


class CarefulPool(urllib3.PoolManager):
    """Connections that follow no redirect, and read no more of an answer than it can rightly have.

    Objects are streamed to whoever asked. Every other answer is read here, within bounds of size and time, and is not
    decoded. Errors are handed on as plain text: the client would parse whatever calls itself XML.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        authorities: str = "",
        check_certificate: bool = True,
        only_new: bool = False,
        answers: int | None = None,
        xml: bool = True,
        **place: Any,
    ) -> None:
        """Prepare connections; none is made yet.

        Args:
            limits: bounds on waiting.
            authorities: file of the certificate authorities to trust; empty for the usual ones.
            check_certificate: whether the server's certificate is checked.
            only_new: whether objects are stored only where there are none, by a condition that the server checks.
            answers: how many answers may be read in all; None for any number.
            xml: whether what is read here goes to a parser of XML. What declares something of its own is refused then.
            place: of the proxy, where there is one.
        """
        super().__init__(
            **place,
            timeout=urllib3.Timeout(connect=limits.connect_seconds, read=limits.read_seconds),
            maxsize=_CONNECTIONS,
            cert_reqs="CERT_REQUIRED" if check_certificate else "CERT_NONE",
            ca_certs=authorities or certifi.where(),
            retries=urllib3.Retry(
                total=_RETRIES,
                backoff_factor=_RETRY_BACKOFF_SECONDS,
                status_forcelist=_RETRY_STATUSES,
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
        )
        self._seconds = limits.download_seconds
        self._only_new = only_new
        self._answers = answers
        self._xml = xml

    def _new_pool(self, *arguments: Any, **options: Any) -> urllib3.HTTPConnectionPool:
        pool = super()._new_pool(*arguments, **options)
        timely = {"response_class": staticmethod(partial(_TimelyResponse, self._seconds))}
        pool.ConnectionCls = type("TimelyConnection", (pool.ConnectionCls,), timely)
        return pool

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = False, preload_content: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, and return the answer."""
        response = self._send(method, url, options)
        if response.status not in _GOOD_STATUSES:
            body = b"" if method == "HEAD" else _beginning(response)
            response.close()
            text = body.decode("utf-8", "replace").encode()
            return urllib3.HTTPResponse(text, {"content-type": "text/plain"}, response.status, request_method=method)
        if not preload_content:
            return response
        try:
            body = b"" if method == "HEAD" else self._all_of(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return urllib3.HTTPResponse(body, response.headers, response.status, request_method=method)

    def _send(self, method: str, url: str, options: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        if self._only_new and _stores_an_object(method, url):
            condition = {**options, "headers": {**options["headers"], "If-None-Match": "*"}}
            response = super().urlopen(method, url, redirect=False, preload_content=False, **condition)
            if response.status != _NOT_IMPLEMENTED:
                return response
            response.close()
        return super().urlopen(method, url, redirect=False, preload_content=False, **options)

    def _all_of(self, response: urllib3.BaseHTTPResponse) -> bytes:
        if self._answers is not None:
            if self._answers == 0:
                raise UnusableAnswer("more answers than a listing takes")
            self._answers -= 1
        data = bytearray()
        while chunk := response.read1(CHUNK_BYTES, decode_content=False):
            data += chunk
            if len(data) > _MAXIMUM_ANSWER_BYTES:
                raise UnusableAnswer("an answer without end")
        if self._xml and b"<!" in data:
            raise UnusableAnswer("an answer that is no plain XML")
        return bytes(data)


class _ProxiedPool(CarefulPool, urllib3.ProxyManager):
    """The same through a proxy."""


def careful_pool(url: str, limits: Limits = DEFAULT_LIMITS, **options: Any) -> CarefulPool:
    """Prepare connections to a server, as the environment has it.

    HTTPS_PROXY, HTTP_PROXY and NO_PROXY name a proxy, AWS_CA_BUNDLE a file of certificate authorities to trust;
    CA_BUNDLE_VOLUME_MOUNT_POINT a folder that holds one, as KServe mounts it.

    Args:
        url: of the server.
        limits: bounds on waiting.
        options: the others of CarefulPool.

    Raises:
        ConfigurationError: the proxy or the file is not usable.
    """
    options["authorities"] = authorities()
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return CarefulPool(limits, **options)
    try:
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        secret = unquote(urlsplit(proxy).netloc.rpartition("@")[0])
        headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
        return _ProxiedPool(limits, proxy_url=proxy, proxy_headers=headers, **options)
    except (urllib3.exceptions.HTTPError, ValueError):  # the text may hold a password
        raise ConfigurationError(
            f"the proxy for {parts.scheme}:// addresses is not usable",
            expected=f"http://HOST:PORT in {parts.scheme.upper()}_PROXY",
        ) from None


def is_url(text: str) -> bool:
    """Tell whether a text is the URL of a server or of a folder there: without a password, a query or a fragment."""
    match = _URL.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 80) <= _LARGEST_PORT:
        return False
    try:
        return match["ipv6"] is None or bool(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return False


def authorities() -> str:
    """Return the file of certificate authorities that the environment names; empty where it names none.

    Raises:
        ConfigurationError: there is no such file.
    """
    named, mounted = os.environ.get("AWS_CA_BUNDLE", ""), os.environ.get("CA_BUNDLE_VOLUME_MOUNT_POINT")
    if named and not os.path.isfile(named):
        raise ConfigurationError("AWS_CA_BUNDLE is not usable", expected="a file", found=repr(named))
    if not named and mounted and os.path.isfile(in_mounted := os.path.join(mounted, _MOUNTED_AUTHORITIES)):
        return in_mounted
    return named


def chunks(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the bytes of an answer as they were sent, in chunks.

    They are not decoded: what was signed is what is stored, and a compressed answer could expand without bound.

    Raises:
        TookTooLong: they do not come within the limit for downloads.
        HTTPError: the server broke off.
    """
    while chunk := response.read(_CHUNK_BYTES, decode_content=False):
        yield chunk


def _stores_an_object(method: str, url: str) -> bool:
    """Tell whether a request brings an object into being: one in a single part, or the last request of many parts."""
    query = url.partition("?")[2]
    return (method == "PUT" and not query) or (method == "POST" and query.startswith("uploadId="))


def _beginning(response: urllib3.BaseHTTPResponse) -> bytes:
    try:
        return response.read(_MAXIMUM_ERROR_BYTES, decode_content=False)
    except urllib3.exceptions.HTTPError:  # the status is known, and says enough
        return b""
