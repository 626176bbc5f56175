"""How to reach Google Cloud Storage and Azure Blob Storage, and what the environment says of that.

Credentials come from the environment, by the names that the clouds' own tools and KServe use. For Google:
GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY; without them the machine's own identity. For Azure:
AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_ACCESS_KEY), AZURE_STORAGE_SAS_KEY, or
AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZ_...); without them the machine's own identity.
GOOGLE_SKIP_SIGNATURE or AZURE_SKIP_SIGNATURE, set to true, ask anonymously. STORAGE_EMULATOR_HOST and AZURE_ENDPOINT
lead to another server.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signed_parameters.errors import ConfigurationError
from signed_parameters.limits import Limits
from signed_parameters.storage.careful_pool import authorities, is_url
from signed_parameters.storage.clouds import CloudStorage

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES = 2
_RETRY_SECONDS = 60
_GOOGLE_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_AZURE_CONTAINER = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$(root|web|logs)")
# What the library says of settings may repeat a secret. Only these parts of it are shown.
_SAYINGS = (
    *("Account must be specified", "Invalid Access Key", "Missing component in SAS query pair"),
    *("Error reading pem file", "Unable to open service account file", "Unable to decode service account file"),
    *("No certificates found", "failed to parse", "Unable parse source url"),
)
# Names that the library does not know itself.
_AZURE_VARIABLES = {
    "account_key": "AZURE_STORAGE_ACCESS_KEY",
    "client_id": "AZ_CLIENT_ID",
    "client_secret": "AZ_CLIENT_SECRET",
    "tenant_id": "AZ_TENANT_ID",
}


def google_storage(bucket: str, folder: str, limits: Limits, config: Mapping[str, Any] | None = None) -> CloudStorage:
    """Open a bucket of Google Cloud Storage.

    Args:
        bucket: its name.
        folder: in it; may be empty.
        limits: bounds on waiting.
        config: settings of obstore's GCSStore; by default the environment says.

    Raises:
        ConfigurationError: obstore is not installed, or the name or the settings are not usable.
    """
    _check_name(bucket, _GOOGLE_BUCKET, "a bucket of Google Cloud Storage")
    settings = dict(config or {})
    server = settings.pop("endpoint", "") if config else os.environ.get("STORAGE_EMULATOR_HOST", "")
    if server and "://" not in server:
        server = f"http://{server}"
    if server:
        _check_server(server, bucket)
        # The only form in which the library takes another server, and asks nobody for a token.
        fields = {
            "gcs_base_url": server,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        settings["service_account_key"] = json.dumps(fields)
    options = _client_options(limits, plain=server.startswith("http://"))
    return CloudStorage(_open("GCSStore", bucket, settings, options), f"gs://{bucket}", folder, limits)


def azure_storage(container: str, folder: str, limits: Limits, config: Mapping[str, Any] | None = None) -> CloudStorage:
    """Open a container of Azure Blob Storage.

    Args:
        container: its name.
        folder: in it; may be empty.
        limits: bounds on waiting.
        config: settings of obstore's AzureStore; what is not there, the environment says.

    Raises:
        ConfigurationError: obstore is not installed, or the name or the settings are not usable.
    """
    _check_name(container, _AZURE_CONTAINER, "a container of Azure")
    settings = {setting: os.environ[name] for setting, name in _AZURE_VARIABLES.items() if os.environ.get(name)}
    settings.update(config or {})
    endpoint = settings.get("endpoint") or os.environ.get("AZURE_ENDPOINT", "")
    if endpoint:
        _check_server(endpoint, container)
    options = _client_options(limits, plain=endpoint.startswith("http://"))
    return CloudStorage(_open("AzureStore", container, settings, options), f"az://{container}", folder, limits)


def _open(kind: str, bucket: str, settings: Mapping[str, Any], options: Mapping[str, Any]) -> "ObjectStore":
    try:
        from obstore import exceptions, store
    except ImportError:
        raise ConfigurationError(
            "gs:// and az:// addresses need the library obstore, which is not installed",
            remedy="Install signed-parameters[clouds].",
        ) from None
    try:
        opened: ObjectStore = getattr(store, kind)(
            bucket,
            config=dict(settings),
            client_options=dict(options),
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        )
    except (exceptions.BaseError, ValueError, TypeError, OSError) as error:
        found = next((saying for saying in _SAYINGS if saying in str(error)), type(error).__name__)
        raise _not_usable(bucket, found=found) from None
    return opened


def _check_name(name: str, pattern: re.Pattern[str], what: str) -> None:
    if not pattern.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be {what}", expected="small letters, digits and dashes, three at least"
        )


def _check_server(url: str, bucket: str) -> None:
    # The library ends with a crash at some that are none.
    if not is_url(url):
        raise _not_usable(bucket, expected="http://HOST:PORT or https://HOST as the server, without a password")


def _not_usable(bucket: str, **details: str) -> ConfigurationError:
    return ConfigurationError(
        f"the settings for {bucket} are not usable", **details, remedy="Check the environment variables."
    )


def _client_options(limits: Limits, *, plain: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=limits.connect_seconds),
        "read_timeout": timedelta(seconds=limits.read_seconds),
        "timeout": timedelta(seconds=limits.download_seconds),
    }
    if bundle := authorities():
        try:
            options["root_certificate"] = Path(bundle).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"the certificate authorities {bundle} cannot be read", found=str(error.strerror)
            ) from None
    return options
