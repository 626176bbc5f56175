"""The older inline form, which is read only by who asks for it by name: a zip that holds a pickle with its signature.

`signed_model.pkl` is what `itsdangerous.Signer(secret).sign(pickle)` gives: the pickle, a dot, and an HMAC-SHA-1 with
the one salt of that library. It says only that somebody who has the secret signed these bytes, at some time, for some
purpose.

A zip has to be opened before the signature can be checked, so reading it is strict and bounded. Its one entry is
inflated twice. The first time it only goes through the HMAC. The second time, when it is known to be good, it is held
in memory.
"""

import hmac
import io
import os
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from typing import Any

from itsdangerous import Signer
from itsdangerous.encoding import base64_encode

from signed_parameters.errors import BadSignature, ConfigurationError, MalformedPackage, TooLarge
from signed_parameters.formats import pickles
from signed_parameters.limits import CHUNK_BYTES, GIBIBYTE
from signed_parameters.storage import Storage, locate

ENTRY = "signed_model.pkl"
_SEPARATOR = b"."
_SIGNATURE_BYTES = len(_SEPARATOR) + 27  # of a dot and 20 bytes in base64 without padding
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MIGRATE = "Sign its pickle anew in a package: docs/interoperation.md shows how."


class InlineFormWarning(UserWarning):
    """The older inline form was asked for, which says less than a package, and is signed with SHA-1."""


def read_inline(
    uri: str | os.PathLike[str], secret: str | bytes, *, storage: Storage | None = None, maximum: int = GIBIBYTE
) -> bytes:
    """Return the pickle of a zip of the older form, whose signature holds. It warns with `InlineFormWarning`.

    Args:
        uri: address of the zip: `s3://BUCKET/NAME`, `file:///PATH`, or a path. With `storage`, its name there.
        secret: what it was signed with.
        storage: where to read; by default `uri` says.
        maximum: size of the zip, and of the entry in it, at the most, in bytes.

    Raises:
        BadSignature: it was signed with another secret, or changed.
        MalformedPackage: it is no zip with one `signed_model.pkl`.
        TooLarge, StorageError: it is too large; it could not be read.
        ConfigurationError: the address or the secret is not usable.
    """
    _warn()
    return _read(uri, secret, storage, maximum)


def load_inline(
    uri: str | os.PathLike[str],
    secret: str | bytes,
    allowed_globals: Collection[str],
    *,
    storage: Storage | None = None,
    maximum: int = GIBIBYTE,
) -> Any:
    """Return the object that a zip of the older form holds. It warns with `InlineFormWarning`.

    Args:
        uri: as `read_inline`.
        secret: as `read_inline`.
        allowed_globals: what the pickle may import, as `module:name`. Nobody signed such a list, so it is the caller's.
        storage: as `read_inline`.
        maximum: as `read_inline`.

    Raises:
        UnsafePickle: it asks for another global, or for one that can never be allowed, or cannot be loaded here.
        BadSignature, MalformedPackage, TooLarge, StorageError, ConfigurationError: as `read_inline`.
    """
    if isinstance(allowed_globals, str):
        raise ConfigurationError("allowed_globals is not usable", expected="a list of module:name", found="one text")
    _warn()
    return pickles.load(_read(uri, secret, storage, maximum), allowed_globals, ENTRY)


def _warn() -> None:
    warnings.warn(
        f"the older inline form binds no name, version or age, and its HMAC is SHA-1. {_MIGRATE}",
        InlineFormWarning,
        stacklevel=3,
    )


def _read(uri: str | os.PathLike[str], secret: str | bytes, storage: Storage | None, maximum: int) -> bytes:
    name = os.fspath(uri)
    key = _derived_key(secret)
    if storage is None:
        storage, name = locate(name)
    zipped, address = storage.read(name, maximum), storage.address(name)
    # Not `Signer.unsign`: it holds all bytes several times, and takes other spellings of a signature for the same.
    authenticator, end = hmac.new(key, digestmod=Signer.default_digest_method), b""
    for chunk in _inflate(zipped, address, maximum):
        end += chunk
        authenticator.update(end[:-_SIGNATURE_BYTES])
        end = end[-_SIGNATURE_BYTES:]
    if not hmac.compare_digest(end, _SEPARATOR + base64_encode(authenticator.digest())):
        raise BadSignature(
            f"the signature of {ENTRY} in {address} does not hold",
            expected="one by the secret that was given, with the default settings of itsdangerous' Signer",
            remedy="Check the secret. If it is the right one, the file was changed: do not load it.",
        )
    return b"".join(_inflate(zipped, address, maximum))[:-_SIGNATURE_BYTES]


def _derived_key(secret: str | bytes) -> bytes:
    try:
        data = secret.encode("utf-8", "surrogateescape") if isinstance(secret, str) else secret
    except UnicodeEncodeError:
        data = b""
    if not isinstance(data, bytes) or not data:  # an empty one signs too, and so could anybody
        raise ConfigurationError("the secret is not usable", expected="the text that the file was signed with")
    return Signer(data).derive_key()


class _SmallReads(io.BytesIO):
    """Keeps `zipfile` from taking in a directory of millions of entries."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = CHUNK_BYTES + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) == most:
            raise zipfile.BadZipFile(f"its directory has more than {CHUNK_BYTES} bytes")
        return data


def _inflate(zipped: bytes, address: str, maximum: int) -> Iterator[bytes]:
    """Yield the content of the one entry, counted while it is inflated, whatever the zip says of its size."""
    size = 0
    try:
        with zipfile.ZipFile(_SmallReads(zipped)) as archive, archive.open(_find(archive)) as file:
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                if size > maximum:
                    raise TooLarge(
                        f"{ENTRY} in {address} is too large",
                        expected=f"at most {maximum} bytes",
                        found="more than that",
                        remedy="It is not what its name says, or raise `maximum`.",
                    )
                yield chunk
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise MalformedPackage(
            f"{address} is no package of the older inline form",
            expected=f"a zip with one {ENTRY}, stored or deflated",
            found=str(error),
        ) from None


def _find(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one entry. What another reader could take for it, by whatever path, is one too many."""
    named = [
        info
        for info in archive.infolist()
        if info.orig_filename.replace("\\", "/").partition("\0")[0].rpartition("/")[2].lower() == ENTRY
    ]
    if len(named) != 1 or named[0].orig_filename != ENTRY:
        raise zipfile.BadZipFile(
            f"entries {', '.join(repr(info.orig_filename) for info in named)[:200] or 'without it'}"
        )
    info = named[0]
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise zipfile.BadZipFile("it is no regular file")
    if info.compress_type not in _METHODS:  # others inflate without bounds
        raise zipfile.BadZipFile(f"it is compressed by method {info.compress_type}")
    return info
