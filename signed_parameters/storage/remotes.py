"""Remotes of rclone, `NAME:BUCKET/FOLDER`, as Seldon Core names places: configured by RCLONE_CONFIG_NAME_... alone.

rclone itself is not needed: the remotes of the types s3, google cloud storage, azureblob and http are opened by the
storages here.
"""

import os
import re
from typing import Any

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import Limits
from signed_parameters.storage.base import Storage

_REMOTE = re.compile(r"(?P<name>[A-Za-z0-9_.-]+):(?!//)(?P<path>.*)")
_TRUE = frozenset({"1", "true", "yes"})
_TYPES = ("s3", "google cloud storage", "gcs", "azureblob", "http")


def is_remote(location: str) -> bool:
    """Tell whether an address is of a remote that the environment configures."""
    match = _REMOTE.fullmatch(location)
    return match is not None and bool(_option(match["name"], "TYPE"))


def open_remote(location: str, limits: Limits) -> Storage:
    """Open the folder at a remote's address.

    Raises:
        ConfigurationError: the remote is of a type that is not known here, or incomplete.
    """
    match = _REMOTE.fullmatch(location)
    assert match is not None
    name = match["name"]
    kind = _option(name, "TYPE").lower()
    if kind == "http":
        from signed_parameters.storage.https import HttpsStorage

        return HttpsStorage(f"{_option(name, 'URL').rstrip('/')}/{match['path'].strip('/')}", limits)
    bucket, _, folder = match["path"].strip("/").partition("/")
    if not bucket:
        raise ConfigurationError(f"{location} names no bucket", expected=f"{name}:BUCKET/FOLDER")
    if kind == "s3":
        return _s3(name, bucket, folder, limits)
    if kind in ("google cloud storage", "gcs"):
        return _google(name, bucket, folder, limits)
    if kind == "azureblob":
        return _azure(name, bucket, folder, limits)
    raise ConfigurationError(
        f"the remote {name} is of a type that is not known here", expected=f"one of {', '.join(_TYPES)}", found=kind
    )


def _s3(name: str, bucket: str, folder: str, limits: Limits) -> Storage:
    from signed_parameters.storage.s3 import S3Settings, S3Storage

    settings = S3Settings.from_environment()
    if not _is_on(name, "ENV_AUTH"):
        settings = S3Settings(
            endpoint=_option(name, "ENDPOINT") or S3Settings.endpoint,
            access_key=_option(name, "ACCESS_KEY_ID") or None,
            secret_key=_option(name, "SECRET_ACCESS_KEY") or None,
            region=_option(name, "REGION") or S3Settings.region,
            session_token=_option(name, "SESSION_TOKEN") or None,
        )
    return S3Storage(bucket, folder, settings, limits)


def _google(name: str, bucket: str, folder: str, limits: Limits) -> Storage:
    from signed_parameters.storage.cloud_settings import google_storage

    config: dict[str, Any] = {
        "service_account_key": _option(name, "SERVICE_ACCOUNT_CREDENTIALS"),
        "service_account": _option(name, "SERVICE_ACCOUNT_FILE"),
        "endpoint": _option(name, "ENDPOINT"),
        "skip_signature": "true" if _is_on(name, "ANONYMOUS") else "",
    }
    return google_storage(bucket, folder, limits, {key: value for key, value in config.items() if value})


def _azure(name: str, container: str, folder: str, limits: Limits) -> Storage:
    from signed_parameters.storage.cloud_settings import azure_storage

    config: dict[str, Any] = {
        "account_name": _option(name, "ACCOUNT"),
        "account_key": _option(name, "KEY"),
        "tenant_id": _option(name, "TENANT"),
        "client_id": _option(name, "CLIENT_ID"),
        "client_secret": _option(name, "CLIENT_SECRET"),
        "endpoint": _option(name, "ENDPOINT"),
    }
    return azure_storage(container, folder, limits, {key: value for key, value in config.items() if value})


def _option(name: str, option: str) -> str:
    return os.environ.get(f"RCLONE_CONFIG_{name.upper().replace('-', '_')}_{option}", "")


def _is_on(name: str, option: str) -> bool:
    return _option(name, option).lower() in _TRUE
