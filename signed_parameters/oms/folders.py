"""Signing and verifying a folder of files with OpenSSF model signing."""

import os
import tempfile
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.exceptions import InvalidSignature

from signed_parameters.checks import TAMPERED
from signed_parameters.errors import (
    BadSignature,
    ConfigurationError,
    DigestMismatch,
    MalformedPackage,
    StorageError,
    UnknownKey,
)
from signed_parameters.files import replacement
from signed_parameters.keys.encryption import Passphrase
from signed_parameters.oms.bundle import Bundle, read_bundle
from signed_parameters.oms.keys import check_private_key, read_public_key
from signed_parameters.oms.library import NOT_LOOKED_AT, library, report, shortened

AnyPath = str | os.PathLike[str]
SIGNATURE_NAME = "model.sig"


def sign_folder(
    folder: AnyPath, key: AnyPath, signature: AnyPath, *, passphrase: Passphrase = None, unsigned: Collection[str] = ()
) -> Path:
    """Sign all files of a folder, and write the bundle.

    Args:
        folder: has the files. Links, pipes and devices in it are refused.
        key: PEM file of a private key on the curve P-256, P-384 or P-521, which only its owner may read.
        signature: where to write the bundle, which is usually called `model.sig`. It may be in the folder.
        passphrase: of an encrypted private key; or a function that asks for it, called only where it is needed.
        unsigned: names in the folder that are left out, with all below them, such as ".git".

    Returns:
        `signature`.

    Raises:
        ConfigurationError: the library is missing, or the key, the folder or the place of the bundle is not usable.
    """
    signing = library()
    root, target = Path(folder), Path(signature)
    password = check_private_key(Path(key), passphrase)
    left_out = _left_out(root, target, unsigned)
    names = _files_below(root, left_out)
    if passed_over := [name for name in names if PurePosixPath(name).parts[0] in NOT_LOOKED_AT]:
        raise ConfigurationError(
            f"{passed_over[0]} in {root} would not be signed",
            expected=f"no {', '.join(NOT_LOOKED_AT)}, which OpenSSF model signing leaves out",
            remedy="Sign a folder without it, or say that it stays unsigned.",
        )
    if not names:
        raise ConfigurationError(f"{root} cannot be signed", expected="a folder with files", found="none")
    try:
        signer = signing.signing.Config().use_elliptic_key_signer(private_key=key, password=password)
        signer.set_hashing_config(signing.hashing.Config().set_ignored_paths(paths=left_out))
        with tempfile.TemporaryDirectory() as place:
            made = Path(place, SIGNATURE_NAME)
            signer.sign(root, made)
            with replacement(target) as file:
                file.write(made.read_bytes())
    except Exception as error:  # the library passes on whatever its own libraries raise
        raise ConfigurationError(f"{root} cannot be signed", found=report(error)) from None
    return target


def verify_folder(
    folder: AnyPath, key: AnyPath, signature: AnyPath, *, unsigned: Collection[str] = ()
) -> tuple[str, ...]:
    """Verify that a folder has exactly the files that a bundle covers.

    Nothing keeps the files from changing afterwards: who opens them later may find others.

    Args:
        folder: has the files.
        key: PEM file of the trusted public key.
        signature: the bundle. It may be in the folder.
        unsigned: names in the folder that the bundle need not cover, with all below them, such as ".gitattributes".

    Returns:
        The names of the files, in order.

    Raises:
        UnknownKey, BadSignature: the bundle is by another key; its signature does not hold.
        DigestMismatch: a file is changed, missing, or not covered.
        MalformedPackage: it is no bundle of OpenSSF model signing 1.0, or the folder holds links or the like.
        StorageError: the bundle or a file cannot be read.
        ConfigurationError: the library is missing, or the key or the folder is not usable.
    """
    verifying = library()
    root, source = Path(folder), Path(signature)
    public_key = read_public_key(Path(key))
    left_out = _left_out(root, source, unsigned)
    names = _files_below(root, left_out)
    bundle = read_bundle(source)
    if bundle.key != (trusted := sha256(public_key).hexdigest()):
        raise UnknownKey(
            f"{source} is not by the trusted key",
            expected=f"key {trusted}",
            found=shortened(bundle.key),
            remedy="Check that you have the public key of who signed it.",
        )
    try:
        with tempfile.TemporaryDirectory() as place:
            # Copies, so that the library reads what was read here.
            key_file, bundle_file = Path(place, "key.pem"), Path(place, SIGNATURE_NAME)
            key_file.write_bytes(public_key)
            bundle_file.write_text(bundle.content)
            verifier = verifying.verifying.Config().use_elliptic_key_verifier(public_key=key_file)
            hashing = _hashing(verifying, bundle).set_ignored_paths(paths=left_out, ignore_git_paths=False)
            verifier.set_hashing_config(hashing).verify(root, bundle_file)
    except InvalidSignature:
        raise BadSignature(f"the signature in {source} does not hold", remedy=TAMPERED) from None
    except OSError as error:
        raise StorageError(f"{root} cannot be read", found=report(error)) from None
    except Exception as error:  # the library passes on whatever its own libraries raise
        if str(error).startswith("Signature mismatch"):
            raise DigestMismatch(f"{root} is not what was signed", found=report(error), remedy=TAMPERED) from None
        raise MalformedPackage(
            f"{root} cannot be verified", expected="a folder of plain files and its bundle", found=report(error)
        ) from None
    # The signed list of what the library passes over may name anything.
    if beyond := [name for name in names if name not in set(bundle.names)]:
        raise DigestMismatch(
            f"{root} holds files that its signature does not cover",
            found=shortened(", ".join(beyond)),
            remedy="Remove them. Where they are known to be harmless, say that they stay unsigned.",
        )
    return bundle.names


def _hashing(verifying: Any, bundle: Bundle) -> Any:
    """Return the library's way of hashing that a bundle names. Links are never followed."""
    how, config = bundle.serialization, verifying.hashing.Config()
    algorithm = "blake2" if how["hash_type"] == "blake2b" else how["hash_type"]  # the library has two names for it
    if how["method"] == "shards":
        return config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(how["shard_size"]))
    return config.use_file_serialization(hashing_algorithm=algorithm)


def _left_out(root: Path, signature: Path, unsigned: Collection[str]) -> tuple[PurePosixPath, ...]:
    """Return what in a folder no bundle has to cover: the bundle itself, and what the caller names."""
    names = [PurePosixPath(name) for name in unsigned]
    if bad := [name for name in names if not name.parts or name.is_absolute() or ".." in name.parts]:
        raise ConfigurationError(
            "what stays unsigned is not usable", expected="names in the folder", found=repr(str(bad[0]))
        )
    try:
        real_root, real = Path(os.path.realpath(root)), Path(os.path.realpath(signature))
    except ValueError as error:
        raise ConfigurationError(f"{root} or {signature} is no path", found=str(error)) from None
    if real.is_relative_to(real_root):
        names.append(PurePosixPath(real.relative_to(real_root)))
    return tuple(names)


def _files_below(root: Path, left_out: Collection[PurePosixPath]) -> list[str]:
    """Return the names of a folder's files, in order, but for those to be left out."""

    def fail(error: OSError) -> None:
        raise ConfigurationError(f"{error.filename} is no folder that can be read", found=str(error.strerror))

    paths = [Path(above, file) for above, _, files in os.walk(root, onerror=fail) for file in files]
    names = [PurePosixPath(path.relative_to(root)) for path in paths]
    return sorted(str(name) for name in names if not any(name.is_relative_to(left) for left in left_out))
