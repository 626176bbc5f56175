"""A verified package: its statement, and its files, each checked again on the bytes that are handed out."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from signed_parameters.checks import TAMPERED
from signed_parameters.digests import Digest, digest_bytes, new_hasher
from signed_parameters.envelope import Envelope
from signed_parameters.errors import ConfigurationError, DigestMismatch, UnsafePickle
from signed_parameters.files import replacement
from signed_parameters.formats import onnx_files, pickles, skops_files
from signed_parameters.formats.kinds import MODEL_SUFFIXES, Format, format_of
from signed_parameters.layout import Entry, read_at
from signed_parameters.limits import CHUNK_BYTES
from signed_parameters.statement import ENVELOPE_SUFFIX, SignedFile, Statement


class VerifiedPackage:
    """What `verify_package` returns. Close it, or use it in a `with` block.

    Attributes:
        envelope: what carries the statement and its signatures.
        statement: what the signer said.
        key_ids: ids of the trusted keys whose signatures were found to hold.
    """

    def __init__(
        self,
        envelope: Envelope,
        statement: Statement,
        key_ids: tuple[str, ...],
        descriptor: int,
        entries: Mapping[str, Entry],
    ) -> None:
        self.envelope = envelope
        self.statement = statement
        self.key_ids = key_ids
        self._descriptor: int | None = descriptor
        self._entries = entries
        self._files = {file.name: file for file in statement.files}

    @property
    def key_id(self) -> str:
        """The first of `key_ids`."""
        return self.key_ids[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files in the package."""
        return tuple(self._files)

    def read(self, name: str) -> bytes:
        """Return a file of the package.

        The signed digest is checked on the bytes that are returned, so nothing can change in between.

        Raises:
            ConfigurationError: there is no such file in it, or the package is closed.
            DigestMismatch: the file was changed since the package was verified.
        """
        file = self._find(name)
        data = read_at(self._open(), file.size, self._entries[name].data_offset)
        check_digest(f"{name} in the package", file.digest, digest_bytes(data, file.digest.algorithm))
        return data

    def load_pickle(self, name: str) -> Any:
        """Return the object that a pickle of the package holds.

        Raises:
            UnsafePickle: it has no signed list of globals, asks for one that is not on it, or cannot be loaded here.
            ConfigurationError, DigestMismatch: as `read`.
        """
        allowed = self._allowed(name, Format.PICKLE)
        return pickles.load(self.read(name), allowed, name)

    def load_skops(self, name: str) -> Any:
        """Return the object that a skops file of the package holds. It needs the library skops.

        Raises:
            UnsafePickle: it has no signed list of types, names one that is not on it, or cannot be loaded here.
            ConfigurationError, DigestMismatch: as `read`; or skops is not installed.
        """
        allowed = self._allowed(name, Format.SKOPS)
        return skops_files.load(self.read(name), allowed, name)

    def load_onnx(self, name: str, *, threads: int = 1) -> Any:
        """Return an `onnxruntime.InferenceSession` of an ONNX model of the package, on the processor.

        Args:
            name: the file.
            threads: how many compute one answer. One is best for a service that answers many requests at a time.

        Raises:
            MalformedPackage: the model keeps tensors in other files, or cannot be run here.
            ConfigurationError, DigestMismatch: as `read`; or onnxruntime is not installed.
        """
        return onnx_files.open_session(self.read(name), name, threads=threads)

    def load_model(self, name: str | None = None) -> Any:
        """Return a model of the package, loaded as the end of its name says: `load_pickle`, `load_skops`, `load_onnx`.

        Args:
            name: the file; by default the only one that is a model.

        Raises:
            ConfigurationError: the file is no model, there is none, or there are several.
            VerificationError: the model is refused.
        """
        name = self._only_model() if name is None else name
        match format_of(name):
            case Format.PICKLE:
                return self.load_pickle(name)
            case Format.SKOPS:
                return self.load_skops(name)
            case Format.ONNX:
                return self.load_onnx(name)
        self._find(name)
        raise ConfigurationError(
            f"{name} is no model that can be loaded",
            expected=f"a file that ends in {', '.join(MODEL_SUFFIXES)}",
            remedy="Read its bytes with verify_package(...).read(...).",
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the package and its envelope to a new place, each whole or not at all; return the package's path.

        The signed digest is checked again on the bytes that are written, and the envelope is written last.

        Raises:
            ConfigurationError: the package is closed, or the place is not writable.
            DigestMismatch: the package was changed since it was verified.
        """
        target, expected = Path(path), self.statement.package_digest
        hasher = new_hasher(expected.algorithm)
        source = self._open()
        try:
            with replacement(target) as copy:
                offset = 0
                while offset <= self.statement.package_size and (chunk := os.pread(source, CHUNK_BYTES, offset)):
                    hasher.update(chunk)
                    copy.write(chunk)
                    offset += len(chunk)
                check_digest("the package", expected, Digest(expected.algorithm, hasher.hexdigest()))
            with replacement(target.with_name(target.name + ENVELOPE_SUFFIX)) as copy:
                copy.write(self.envelope.to_bytes())
        except OSError as error:
            raise ConfigurationError(f"{target} cannot be written", found=str(error.strerror)) from None
        return target

    def close(self) -> None:
        """Let go of the package's file. It can be called more than once."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> int:
        if self._descriptor is None:
            raise ConfigurationError("the package is closed", remedy="Read its files before closing it.")
        return self._descriptor

    def _only_model(self) -> str:
        models = [name for name in self.names if format_of(name) is not None]
        if len(models) != 1:
            raise ConfigurationError(
                "the package holds several models" if models else "the package holds no model",
                expected=f"one file that ends in {', '.join(MODEL_SUFFIXES)}",
                found=", ".join(models or self.names)[:200],
                remedy="Choose one with file=..." if models else "Sign the model with sign_model.",
            )
        return models[0]

    def _allowed(self, name: str, kind: Format) -> tuple[str, ...]:
        self._find(name)
        listed = {file: names for file, names in self.statement.pickles.items() if format_of(file) is kind}
        if name not in listed:
            raise UnsafePickle(
                f"{name} has no signed list of globals",
                expected=f"one of {', '.join(listed)}" if listed else f"a {kind} file, and this package has none",
                remedy=f"They are files that end in {' or '.join(kind.suffixes)} when the package is signed.",
            )
        return listed[name]

    def _find(self, name: str) -> SignedFile:
        try:
            return self._files[name]
        except KeyError:
            raise ConfigurationError(
                f"the package has no file {name!r}", expected=f"one of {', '.join(self.names)}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


def check_digest(what: str, expected: Digest, found: Digest) -> None:
    """Raise DigestMismatch where the digests differ."""
    if not found.equals(expected):
        raise DigestMismatch(
            f"{what} is not what was signed", expected=str(expected), found=str(found), remedy=TAMPERED
        )
