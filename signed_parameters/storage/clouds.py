"""Storage in a bucket of Google Cloud Storage, or a container of Azure Blob Storage, through the library obstore.

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
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signed_parameters.errors import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable
from signed_parameters.limits import CHUNK_BYTES, Limits
from signed_parameters.storage.base import Download, Found, Storage, took_too_long
from signed_parameters.storage.careful_pool import authorities, is_url
from signed_parameters.storage.file import already_there

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES = 2
_RETRY_SECONDS = 60
_PARTS_FROM_BYTES = 64 << 20
_LISTED_AT_ONCE = 1000
_STATUS = re.compile(r"status code: ([0-9]{3})")
_GOOGLE_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_AZURE_CONTAINER = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$(root|web|logs)")
# What the library says of settings may repeat a secret. Only these parts of it are shown.
_SAYINGS = (
    *(
        "Account must be specified",
        "Invalid Access Key",
        "Missing component in SAS query pair",
        "Error reading pem file",
    ),
    *("Unable to open service account file", "Unable to decode service account file", "No certificates found"),
    *("failed to parse", "Unable parse source url"),
)
# Names that the library does not know itself.
_AZURE_VARIABLES = {
    "account_key": "AZURE_STORAGE_ACCESS_KEY",
    "client_id": "AZ_CLIENT_ID",
    "client_secret": "AZ_CLIENT_SECRET",
    "tenant_id": "AZ_TENANT_ID",
}


class CloudStorage(Storage):
    """A bucket or a container, or a folder in one."""

    def __init__(self, store: "ObjectStore", root: str, folder: str, limits: Limits) -> None:
        """Describe it; nothing is asked of the server yet.

        Args:
            store: obstore's.
            root: the address of the bucket, such as `gs://BUCKET`.
            folder: in it; may be empty.
            limits: bounds on waiting.
        """
        self._store = store
        self._root = root
        self._folder = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._limits = limits

    def address(self, name: str) -> str:
        """Return the object's address, as `gs://BUCKET/KEY`."""
        return f"{self._root}/{self._folder}{name}"

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        """Open the object for reading."""
        import obstore

        with self._errors(name):
            result = obstore.get(self._store, self._folder + name)
            size = result.meta["size"]
        yield Download(size, self._chunks(name, result))

    def _chunks(self, name: str, result: Any) -> Iterator[bytes]:
        deadline = time.monotonic() + self._limits.download_seconds
        with self._errors(name):
            for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                if time.monotonic() > deadline:
                    raise took_too_long(self.address(name), self._limits)
                yield chunk

    def find(self, name: str) -> Found:
        """Return the object's size and state."""
        import obstore

        with self._errors(name):
            found = obstore.head(self._store, self._folder + name)
        return Found(found["size"], found["e_tag"] or found["last_modified"].isoformat())

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return a part of the object."""
        import obstore

        if start >= stop:
            return b""
        with self._errors(name):
            return bytes(obstore.get_range(self._store, self._folder + name, start=start, end=stop))

    def remove(self, name: str) -> None:
        """Remove the object."""
        import obstore

        with self._errors(name):
            obstore.delete(self._store, self._folder + name)

    def write(self, name: str, source: Path, *, overwrite: bool = False) -> None:
        """Upload a file."""
        self.check_source(source)
        self._store_object(name, source, overwrite)

    def write_bytes(self, name: str, data: bytes, *, overwrite: bool = False) -> None:
        """Upload a small object, in one request."""
        self._store_object(name, data, overwrite)

    def _store_object(self, name: str, content: bytes | Path, overwrite: bool) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        # Asked first as well: an upload in parts knows no condition.
        if not overwrite and self._exists(name):
            raise already_there(self.address(name))
        key = self._folder + name
        with self._errors(name):
            try:
                if isinstance(content, Path) and content.stat().st_size > _PARTS_FROM_BYTES:
                    obstore.put(self._store, key, content, use_multipart=True)
                else:
                    mode: Literal["overwrite", "create"] = "overwrite" if overwrite else "create"
                    obstore.put(self._store, key, content, use_multipart=False, mode=mode)
            except AlreadyExistsError:
                raise already_there(self.address(name)) from None

    def names(self, suffix: str = "") -> Iterator[str]:
        """Yield the names of the objects, in their order."""
        import obstore

        with self._errors(""):
            listed = obstore.list(self._store, prefix=self._folder or None, chunk_size=_LISTED_AT_ONCE)
            for number, page in enumerate(listed):
                if number == self._limits.listing_pages:
                    raise Unavailable(f"{self._root} lists without end")
                for item in page:
                    name = item["path"].removeprefix(self._folder)
                    if name.endswith(suffix):
                        yield name

    def _exists(self, name: str) -> bool:
        import obstore

        try:
            with self._errors(name):
                obstore.head(self._store, self._folder + name)
        except NotFound:
            return False
        return True

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        from obstore import exceptions

        address = self.address(name)
        try:
            yield
        except (FileNotFoundError, exceptions.NotFoundError):
            raise NotFound(f"{address} does not exist", remedy="Check the bucket and the name.") from None
        except (PermissionError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise AccessDenied(
                f"access to {address} is refused",
                found=_status(error),
                remedy="Check the credentials, and the permissions of the bucket.",
            ) from None
        except (ValueError, exceptions.InvalidPathError):
            raise ConfigurationError(f"{address} is not usable", expected="no empty part in the path") from None
        except (exceptions.BaseError, OSError) as error:
            status = _status(error)
            refused = status.startswith("HTTP 4") and status != "HTTP 429"
            raise (StorageError if refused else Unavailable)(
                f"the storage does not answer, or broke off, at {address}",
                found=status,
                remedy="Check the address and the network, then try again.",
            ) from None


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
        options["root_certificate"] = Path(bundle).read_bytes()
    return options


def _status(error: Exception) -> str:
    # Nothing else of the text is shown: it holds the answer of a server that is not trusted, and addresses with tokens.
    match = _STATUS.search(str(error))
    return f"HTTP {match.group(1)}" if match else type(error).__name__
