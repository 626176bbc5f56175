"""The older inline form, whose zip is read before a signature can be checked: nothing comes out that was not signed."""

import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from itsdangerous import Signer

from signed_parameters.errors import SignedParametersError
from signed_parameters.inline import ENTRY, InlineFormWarning, read_inline
from tests.fuzz.harness import Finding, Harness
from tests.signed_parameters.memory_storage import MemoryStorage

_SECRET = "no secret, but a test vector"
_PICKLE = b"\x80\x04N."
_MAXIMUM_BYTES = 65_536


@cache
def _signed() -> bytes:
    return Signer(_SECRET).sign(_PICKLE)


def _zip(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def seeds() -> Iterator[bytes]:
    """Yield zips with the one entry, with another, with a bomb, and packed in every way."""
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield _zip({ENTRY: _signed()}, compression)
    yield _zip({ENTRY: _signed() + b"x"})
    yield _zip({"other.txt": b"text", ENTRY: _signed()})
    yield _zip({f"folder/{ENTRY}": _signed()})
    yield _zip({ENTRY: bytes(2 * _MAXIMUM_BYTES)}, zipfile.ZIP_DEFLATED)
    yield from (_zip({}), b"", _signed())


def check(data: bytes) -> None:
    """Read the bytes as a zip of the older form."""
    storage = MemoryStorage()
    storage.objects["any.zip"] = data
    with warnings.catch_warnings(), suppress(SignedParametersError):
        warnings.simplefilter("ignore", InlineFormWarning)
        if read_inline("any.zip", _SECRET, storage=storage, maximum=_MAXIMUM_BYTES) != _PICKLE:
            raise Finding("a pickle comes out that nobody signed")


HARNESS = Harness(("signed_parameters.inline",), seeds, check)
