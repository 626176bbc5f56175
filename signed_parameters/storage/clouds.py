"""Storage in a bucket of Google Cloud Storage, or a container of Azure Blob Storage, through the library obstore.

`cloud_settings` opens them.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signed_parameters.errors import AccessDenied, ConfigurationError, NotFound, StorageError, Unavailable
from signed_parameters.limits import CHUNK_BYTES, Limits
from signed_parameters.storage.base import Download, Found, Storage, took_too_long
from signed_parameters.storage.file import already_there

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PARTS_FROM_BYTES = 64 << 20
_LISTED_AT_ONCE = 1000
_STATUS = re.compile(r"status code: ([0-9]{3})")


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


def _status(error: Exception) -> str:
    # Nothing else of the text is shown: it holds the answer of a server that is not trusted, and addresses with tokens.
    match = _STATUS.search(str(error))
    return f"HTTP {match.group(1)}" if match else type(error).__name__
