"""Choosing the storage by the address.

PATH, file:///FOLDER                                a folder of this machine
pvc://CLAIM/FOLDER                                  a folder of a claim, where it is mounted: PVC_MOUNT_PATH, /mnt/pvc
s3://BUCKET/FOLDER                                  any S3 server
gs://BUCKET/FOLDER                                  Google Cloud Storage
az://CONTAINER/FOLDER                               Azure Blob Storage
https://ACCOUNT.blob.core.windows.net/CONTAINER     the same, by its own address
https://HOST/FOLDER                                 any HTTPS server, for reading
NAME:BUCKET/FOLDER                                  a remote of rclone, where RCLONE_CONFIG_NAME_TYPE is set
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import DEFAULT_LIMITS, Limits
from signed_parameters.storage.base import Storage
from signed_parameters.storage.file import FileStorage
from signed_parameters.storage.remotes import is_remote, open_remote

if TYPE_CHECKING:
    from signed_parameters.storage.s3 import S3Settings

_BUCKETS = ("s3", "gs", "az")
_EXPECTED = "s3://..., gs://..., az://..., https://..., pvc://..., file:///..., or a path"
_AZURE = re.compile(r"(?P<account>[a-z0-9]{3,24})\.blob\.core\.windows\.net")
_AZURE_CREDENTIALS = ("AZURE_STORAGE_", "AZURE_CLIENT_", "AZ_CLIENT_")
_CLAIMS = "/mnt/pvc"  # where KServe mounts a claim for what downloads from it


def open_storage(location: str, *, settings: "S3Settings | None" = None, limits: Limits = DEFAULT_LIMITS) -> Storage:
    """Open the folder at an address.

    Args:
        location: as above.
        settings: how to reach the S3 server; by default the environment says.
        limits: bounds on waiting.

    Raises:
        ConfigurationError: the address is of a kind that is not known, or incomplete.
    """
    # Each storage is imported when it is asked for: the clients take their time.
    scheme, separator, rest = location.partition("://")
    if not separator:
        return open_remote(location, limits) if is_remote(location) else FileStorage(Path(location))
    if scheme in _BUCKETS:
        return _open_bucket(scheme, rest, location, settings, limits)
    if scheme in ("https", "http"):
        return _open_https(location, limits)
    if scheme == "pvc":
        claim, _, folder = rest.partition("/")
        if not claim or ".." in Path(folder).parts or Path(folder).is_absolute():
            raise ConfigurationError(f"{location} is not usable", expected="pvc://CLAIM/FOLDER")
        return FileStorage(Path(os.environ.get("PVC_MOUNT_PATH") or _CLAIMS, folder))
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise ConfigurationError(f"{location} is not usable", expected="file:///FOLDER, with three slashes")
        return FileStorage(Path(unquote(slash + path)))
    raise ConfigurationError(f"{location} is of an unknown kind", expected=_EXPECTED, found=f"{scheme}://")


def locate(uri: str, *, settings: "S3Settings | None" = None, limits: Limits = DEFAULT_LIMITS) -> tuple[Storage, str]:
    """Return the storage that holds an object, and the object's name in it.

    Raises:
        ConfigurationError: the address is of a kind that is not known, or names no object.
    """
    by_url = uri.startswith(("https://", "http://"))
    if by_url:
        from signed_parameters.storage.https import check_url

        check_url(uri)
    folder, separator, name = uri.rpartition("/")
    if not separator and is_remote(uri):
        folder, separator, name = uri.partition(":")
        folder += separator
    if not name or folder.endswith(":/"):
        raise ConfigurationError(f"{uri!r} names no package", expected="an address that ends with a file's name")
    if folder == "file://":
        folder = "file:///"
    root = "/" if separator and not folder else "."
    storage = open_storage(folder or root, settings=settings, limits=limits)
    return storage, unquote(name) if by_url or uri.startswith("file://") else name


def _open_bucket(scheme: str, rest: str, location: str, settings: "S3Settings | None", limits: Limits) -> Storage:
    bucket, _, folder = rest.partition("/")
    if not bucket:
        raise ConfigurationError(f"{location} names no bucket", expected=f"{scheme}://BUCKET/FOLDER")
    if scheme == "s3":
        from signed_parameters.storage.s3 import S3Storage

        return S3Storage(bucket, folder, settings, limits)
    from signed_parameters.storage.cloud_settings import azure_storage, google_storage

    return (google_storage if scheme == "gs" else azure_storage)(bucket, folder, limits)


def _open_https(location: str, limits: Limits) -> Storage:
    from signed_parameters.storage.https import HttpsStorage, check_url

    check_url(location)
    url = urlsplit(location)
    azure = _AZURE.fullmatch(url.netloc)
    # Without credentials it is a public container, which any HTTPS client can read.
    if azure is not None and any(name.startswith(_AZURE_CREDENTIALS) for name in os.environ):
        from signed_parameters.storage.cloud_settings import azure_storage

        container, _, folder = unquote(url.path).strip("/").partition("/")
        if not container:
            raise ConfigurationError(f"{location} names no container", expected=f"https://{url.netloc}/CONTAINER")
        return azure_storage(container, folder, limits, {"account_name": azure["account"]})
    return HttpsStorage(location, limits)
