"""Choosing the storage by the address: `s3://BUCKET/...`, `file:///...`, or a plain path."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import DEFAULT_LIMITS, Limits
from signed_parameters.storage.base import Storage
from signed_parameters.storage.file import FileStorage

if TYPE_CHECKING:
    from signed_parameters.storage.s3 import S3Settings


def open_storage(location: str, *, settings: "S3Settings | None" = None, limits: Limits = DEFAULT_LIMITS) -> Storage:
    """Open the folder at an address.

    Args:
        location: `s3://BUCKET` or `s3://BUCKET/FOLDER`, `file:///FOLDER`, or a path.
        settings: how to reach the S3 server; by default the AWS_... environment variables say.
        limits: bounds on waiting.

    Raises:
        ConfigurationError: the address is of a kind that is not known, or incomplete.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        return FileStorage(Path(location))
    if scheme == "s3":
        bucket, _, folder = rest.partition("/")
        if not bucket:
            raise ConfigurationError(f"{location} names no bucket", expected="s3://BUCKET/FOLDER")
        from signed_parameters.storage.s3 import S3Storage  # the client takes its time to import

        return S3Storage(bucket, folder, settings, limits)
    if scheme == "file":
        url = urlsplit(location)
        if url.netloc not in ("", "localhost") or not url.path:
            raise ConfigurationError(f"{location} is not usable", expected="file:///FOLDER, with three slashes")
        return FileStorage(Path(unquote(url.path)))
    raise ConfigurationError(
        f"{location} is of an unknown kind", expected="s3://..., file:///..., or a path", found=f"{scheme}://"
    )


def locate(uri: str, *, settings: "S3Settings | None" = None, limits: Limits = DEFAULT_LIMITS) -> tuple[Storage, str]:
    """Return the storage that holds an object, and the object's name in it.

    Raises:
        ConfigurationError: the address is of a kind that is not known, or names no object.
    """
    folder, separator, name = uri.rpartition("/")
    if not name or folder.endswith(":/"):
        raise ConfigurationError(f"{uri!r} names no package", expected="an address that ends with a file's name")
    if folder == "file://":
        folder = "file:///"
    root = "/" if separator and not folder else "."
    storage = open_storage(folder or root, settings=settings, limits=limits)
    return storage, unquote(name) if uri.startswith("file://") else name
