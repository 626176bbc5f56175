"""One line on each side: `sign_model` where the model is trained, `load_model` where it is served.

What they do can be done in steps too: `build_package`, `sign_package` and a storage; `verify_package` and its result.
"""

import os
import pickle
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from signed_parameters.digests import DigestAlgorithm
from signed_parameters.errors import ConfigurationError, NotFound, StorageError
from signed_parameters.formats import skops_files
from signed_parameters.formats.kinds import Format
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.package import build_package
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.signing import sign_package
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Storage, open_storage
from signed_parameters.verification import verify_package

_PICKLE_PROTOCOL = 5


def sign_model(
    model: Any,
    to: str | os.PathLike[str],
    *,
    key: SigningKey,
    name: str,
    version: str,
    parameters_version: str,
    serial: int | None = None,
    format: str = Format.PICKLE,
    files: Mapping[str, str | os.PathLike[str]] | None = None,
    expires_in: timedelta | None = None,
    digest: str = DigestAlgorithm.BLAKE3,
    libraries: Mapping[str, str] | None = None,
    check: bool = True,
) -> str:
    """Put a model into a package, sign it, and store it; whole, or not at all. It never overwrites.

    Args:
        model: an object that pickle or skops can write; for "onnx" the model's bytes, or an `onnx.ModelProto`.
        to: the folder to store it in: a path, `s3://BUCKET/FOLDER`, `gs://...`, or `az://...`.
        key: signs it.
        name: the model's qualified name.
        version: version of the model's code.
        parameters_version: version of these parameters.
        serial: place in the model's line of packages; by default one above those in the folder that the key signed.
        format: "pickle", "skops", or "onnx".
        files: more files for the package, such as a card: name in the package -> path.
        expires_in: how long it may be loaded; None for ever.
        digest: "blake3" or "sha256".
        libraries: more libraries whose versions matter, by name.
        check: whether to verify the package and load the model once, as a service will, before it is stored.

    Returns:
        Address of the package, `NAME-VERSION-PARAMETERS_VERSION.zip` in the folder.

    Raises:
        ConfigurationError: the model cannot be written in this format, a value is not usable, or there is such a
            package already.
        UnsafePickle: the model needs what is never allowed, such as a class of the script that is running.
        MalformedPackage: an ONNX model keeps tensors in other files.
        StorageError: it cannot be stored, or a file of `files` cannot be read.
    """
    kind = _format(format)
    if kind.file_name in (files or {}):
        raise ConfigurationError(
            f"{kind.file_name} is the model's own name in the package", remedy="Choose another name in `files`."
        )
    folder, policy = os.fspath(to), TrustPolicy(name=name, keys=[key.verification_key])
    storage = open_storage(folder)
    with _temporary_folder() as temporary:
        model_file = Path(temporary, kind.file_name)
        with model_file.open("wb") as file:
            _write(model, kind, file)
        if serial is None:
            from signed_parameters.serials import next_serial

            serial = next_serial(folder, policy)
        package = build_package(Path(temporary, "package.zip"), {**(files or {}), kind.file_name: model_file})
        envelope = sign_package(
            package,
            key=key,
            name=name,
            version=version,
            parameters_version=parameters_version,
            serial=serial,
            expires_in=expires_in,
            digest=digest,
            libraries=libraries,
        )
        if check:
            load_model(package, policy, file=kind.file_name)
        stored = f"{name}-{version}-{parameters_version}.zip"
        _store(storage, stored, package, envelope)
    return storage.address(stored)


def load_model(
    uri: str | os.PathLike[str], policy: TrustPolicy | str | os.PathLike[str], *, file: str | None = None
) -> Any:
    """Fetch a package, verify it, and return its model. Nothing of it is loaded before it is verified.

    Args:
        uri: address of the package, as for `verify_package`.
        policy: what is demanded: a policy, or the path of a policy file.
        file: the model's file in the package; by default the only one that is a model.

    Returns:
        What was signed: the object of a pickle or a skops file; for ONNX an `onnxruntime.InferenceSession`.

    Raises:
        VerificationError: the package, or the model in it, is refused.
        StorageError: it could not be read, or there is no envelope.
        ConfigurationError: a value is not usable, a library is not installed, the package holds no model, or several.
    """
    with verify_package(uri, as_policy(policy)) as package:
        return package.load_model(file)


def as_policy(policy: TrustPolicy | str | os.PathLike[str]) -> TrustPolicy:
    """Return a policy as it is, or read the file that holds it.

    Raises:
        ConfigurationError: it is neither, or the file is not usable.
    """
    if isinstance(policy, TrustPolicy):
        return policy
    if not isinstance(policy, str | os.PathLike):
        raise ConfigurationError(
            "the trust policy is not usable",
            expected="a TrustPolicy, or the path of a policy file",
            found=type(policy).__name__,
        )
    return TrustPolicy.load(policy)


def _format(name: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise ConfigurationError("the format is unknown", expected=", ".join(Format), found=repr(name)) from None


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory()
    except OSError as error:
        raise ConfigurationError(
            "there is no folder to build the package in",
            found=str(error.strerror),
            remedy="Set TMPDIR to a folder that can be written to.",
        ) from None


def _write(model: Any, kind: Format, file: BinaryIO) -> None:
    match kind:
        case Format.PICKLE:
            _write_pickle(model, file)
        case Format.SKOPS:
            file.write(skops_files.dump(model))
        case Format.ONNX:
            file.write(_onnx_bytes(model))


def _write_pickle(model: Any, file: BinaryIO) -> None:
    try:
        pickle.dump(model, file, _PICKLE_PROTOCOL)
    except OSError as error:
        raise ConfigurationError(
            "the model cannot be written", found=str(error.strerror), remedy="Make room in the folder TMPDIR."
        ) from None
    except Exception as error:  # whatever the model's own methods raise
        raise ConfigurationError(
            f"a {type(model).__name__} cannot be pickled",
            found=f"{type(error).__name__}: {error}",
            remedy="Take functions and classes from modules, no lambda and none that is defined in a function, and "
            "leave out open files, locks and connections.",
        ) from None


def _onnx_bytes(model: Any) -> bytes:
    data = model.SerializeToString() if hasattr(model, "SerializeToString") else model
    if not isinstance(data, bytes) or not data:
        raise ConfigurationError(
            "this is no ONNX model",
            expected="its bytes, or an onnx.ModelProto",
            found=type(model).__name__,
            remedy="Export it first, with skl2onnx or onnxmltools for example.",
        )
    return data


def _store(storage: Storage, name: str, package: Path, envelope: Path) -> None:
    """Store a package, and its envelope behind it: nobody can load a package without one."""
    _check_absent(storage, name + ENVELOPE_SUFFIX)
    storage.write(name, package)
    try:
        storage.write(name + ENVELOPE_SUFFIX, envelope)
    except StorageError as error:
        raise type(error)(
            f"{storage.address(name)} was stored, but its envelope was not, so that nobody can load it",
            expected=error.expected,
            found=error.problem,
            remedy="Remove it and sign again, or take another parameters version.",
        ) from None


def _check_absent(storage: Storage, name: str) -> None:
    try:
        with storage.stream(name):
            pass
    except NotFound:
        return
    raise ConfigurationError(
        f"{storage.address(name)} exists already",
        expected="a new name for new parameters, as a running service may be reading this one",
        remedy="Choose a new parameters version.",
    )
