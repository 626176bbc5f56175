"""Storage in a bucket of an S3 server (MinIO, AWS, or any other), through the `minio` client."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.helpers import check_bucket_name

from signed_parameters.errors import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable
from signed_parameters.limits import DEFAULT_LIMITS, Limits
from signed_parameters.storage.base import Download, Found, Storage, took_too_long
from signed_parameters.storage.careful_pool import TookTooLong, UnusableAnswer, chunks
from signed_parameters.storage.file import already_there
from signed_parameters.storage.s3_settings import S3Settings

__all__ = ["S3Settings", "S3Storage"]

_PRECONDITION_FAILED = 412
_ERROR_CODE = re.compile(r"<Code>(\w{1,100})</Code>")
_LENGTH = re.compile(r"[0-9]{1,18}")
_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "NotFound", "ResourceNotFound"})
_DENIED = frozenset({"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken"})


class S3Storage(Storage):
    """A bucket, or a folder in one."""

    def __init__(
        self, bucket: str, folder: str = "", settings: S3Settings | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._bucket = bucket
        self._folder = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._settings = settings or S3Settings.from_environment()
        self._limits = limits
        self._client = self._settings.client(limits)
        self._creating_client = self._settings.client(limits, only_new=True)

    def address(self, name: str) -> str:
        """Return the object's address, as `s3://BUCKET/KEY`."""
        return f"s3://{self._bucket}/{self._folder}{name}"

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        """Open the object for reading."""
        with self._errors(name):
            response = self._client.get_object(self._bucket, self._folder + name)
        try:
            yield Download(_length(response), self._chunks(name, response))
        finally:
            response.close()

    def _chunks(self, name: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        with self._errors(name):
            yield from chunks(response)

    def find(self, name: str) -> Found:
        """Return the object's size and state."""
        with self._errors(name):
            found = self._client.stat_object(self._bucket, self._folder + name)
        return Found(found.size or 0, found.etag or "")

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return a part of the object."""
        if start >= stop:
            return b""
        with self._errors(name):
            response = self._client.get_object(self._bucket, self._folder + name, start, stop - start)
        try:
            data = bytearray()
            for chunk in self._chunks(name, response):
                data += chunk
                if len(data) > stop - start:  # a server may answer with more than it was asked for
                    raise self.too_large(f"a part of {name}", stop - start, "more than that")
            return bytes(data)
        finally:
            response.close()

    def remove(self, name: str) -> None:
        """Remove the object."""
        with self._errors(name):
            self._client.remove_object(self._bucket, self._folder + name)

    def write(self, name: str, source: Path, *, overwrite: bool = False) -> None:
        """Upload a file."""
        self.check_source(source)
        self._store(name, overwrite, lambda client, key: client.fput_object(self._bucket, key, str(source)))

    def write_bytes(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        """Upload a small object, in one request."""
        self._store(name, overwrite, lambda client, key: client.put_object(self._bucket, key, BytesIO(data), len(data)))

    def _store(self, name: str, overwrite: bool, send: Callable[[Minio, str], object]) -> None:
        # Asked first as well: a server that knows no conditions ignores them, and an upload may be long.
        if not overwrite and self._exists(name):
            raise already_there(self.address(name))
        with self._errors(name):
            try:
                send(self._client if overwrite else self._creating_client, self._folder + name)
            except (S3Error, InvalidResponseError) as error:
                if not overwrite and _code_and_status(error)[1] == _PRECONDITION_FAILED:
                    raise already_there(self.address(name)) from None
                raise

    def names(self, suffix: str = "") -> Iterator[str]:
        """Yield the names of the objects, as the server lists them: S3 demands the order of their names."""
        # A client for this listing alone, as a server could go on for ever with pages, even with empty ones.
        client = self._settings.client(self._limits, answers=self._limits.listing_pages)
        with self._errors(""):
            check_bucket_name(self._bucket)
            listing = client.list_objects(self._bucket, prefix=self._folder, recursive=True)
            try:
                for item in listing:
                    name = str(item.object_name).removeprefix(self._folder)
                    if name.endswith(suffix) and not name.endswith("/"):
                        yield name
            except (ValueError, TypeError, LookupError, AttributeError):  # how the client fails at odd XML
                raise Unavailable(
                    f"{self._settings.endpoint} does not list {self.address('')}", expected="a listing as S3 has them"
                ) from None

    def _exists(self, name: str) -> bool:
        try:
            with self._errors(name):
                self._client.stat_object(self._bucket, self._folder + name)
        except NotFound:
            return False
        return True

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        address, server = self.address(name), self._settings.endpoint
        try:
            yield
        except TookTooLong:
            raise took_too_long(address, self._limits) from None
        except (S3Error, InvalidResponseError, ServerError) as error:
            code, status = _code_and_status(error)
            found = f"{code} (HTTP {status})" if code else f"HTTP {status}"
            if code in _ABSENT or status == 404:
                problem = f"the bucket of {address}" if code == "NoSuchBucket" else address
                raise NotFound(
                    f"{problem} does not exist at {server}", found=found, remedy="Check the bucket and the name."
                ) from None
            # Some servers call a request without credentials a bad one.
            anonymous = self._settings.access_key is None and not self._settings.role
            if code in _DENIED or status in (401, 403) or (status == 400 and anonymous):
                raise AccessDenied(
                    f"{server} refuses access to {address}",
                    found=found,
                    remedy="Check the access key, the secret key, and the bucket's permissions.",
                ) from None
            kind = Unavailable if status >= 500 or status == 429 else StorageError
            raise kind(f"{server} failed at {address}", found=found) from None
        except (urllib3.exceptions.HTTPError, MinioException, ParseError, OSError) as error:
            raise Unavailable(
                f"{server} does not answer, or broke off, at {address}",
                found=_reason(error),
                remedy="Check that the server runs and that its address is right, then try again.",
            ) from None
        except ValueError as error:
            raise ConfigurationError(f"{address} is not usable", found=str(error)) from None


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if _LENGTH.fullmatch(text) else None


def _code_and_status(error: S3Error | InvalidResponseError | ServerError) -> tuple[str, int]:
    if isinstance(error, S3Error):
        return error.code or "", error.response.status
    if isinstance(error, ServerError):
        return "", error.status_code
    match = _ERROR_CODE.search(error._body or "")
    return match.group(1) if match else "", error._code


def _reason(error: Exception) -> str:
    if isinstance(error, UnusableAnswer):
        return str(error)
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        return type(error.reason).__name__
    return type(error).__name__
