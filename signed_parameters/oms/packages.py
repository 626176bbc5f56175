"""Bundles for the files of a package of ours."""

import os
import tempfile
from pathlib import Path

from signed_parameters.checks import TAMPERED
from signed_parameters.digests import digest_file
from signed_parameters.errors import ConfigurationError, DigestMismatch
from signed_parameters.keys.encryption import Passphrase
from signed_parameters.oms.folders import SIGNATURE_NAME, AnyPath, sign_folder, verify_folder
from signed_parameters.oms.library import report, shortened
from signed_parameters.statement import Statement
from signed_parameters.storage import FileStorage
from signed_parameters.verified import VerifiedPackage, check_digest


def write_bundle(package: VerifiedPackage, folder: AnyPath, key: AnyPath, *, passphrase: Passphrase = None) -> Path:
    """Unpack a verified package into a new folder with a bundle, `model.sig`; the whole folder, or nothing.

    One file at a time is held in memory, and its signed digest is checked on the bytes that are written.

    Args:
        package: what to unpack.
        folder: where to. It must not exist, and the folder above it must.
        key: PEM file of the private key for the bundle, which only its owner may read.
        passphrase: of an encrypted private key; or a function that asks for it, called only where it is needed.

    Returns:
        Path of the bundle.

    Raises:
        ConfigurationError: as `sign_folder`; or the folder exists or cannot be written.
        DigestMismatch: the package was changed since it was verified.
    """
    target = Path(os.path.abspath(folder))
    if os.path.lexists(target):
        raise ConfigurationError(f"{target} exists already", remedy="Choose the name of a new folder.")
    if SIGNATURE_NAME in package.names:
        raise ConfigurationError(f"the package has a file {SIGNATURE_NAME}", expected="that name for the bundle")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as place:
            # Below a folder of its own, because a bundle records the name of the folder that is signed.
            unpacked = Path(place, target.name)
            for name in package.names:
                path = unpacked / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(package.read(name))
            sign_folder(unpacked, key, unpacked / SIGNATURE_NAME, passphrase=passphrase)
            os.rename(unpacked, target)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        raise ConfigurationError(f"{target} cannot be written", found=report(error)) from None
    return target / SIGNATURE_NAME


def verify_bundle(
    folder: AnyPath, key: AnyPath, statement: Statement, *, signature: AnyPath | None = None
) -> tuple[str, ...]:
    """Verify that a folder has exactly the files of a verified statement, and a bundle that covers them.

    Args:
        folder: has the files, and by default the bundle.
        key: PEM file of the trusted public key for the bundle.
        statement: of the package, as `verify_package` returns it.
        signature: the bundle, where it is not `model.sig` in the folder.

    Returns:
        The names of the files, in order.

    Raises:
        DigestMismatch: as `verify_folder`; or the files are not those of the statement.
        UnknownKey, BadSignature, MalformedPackage, StorageError, ConfigurationError: as `verify_folder`.
    """
    root = Path(folder)
    covered = verify_folder(root, key, root / SIGNATURE_NAME if signature is None else signature)
    expected = tuple(file.name for file in statement.files)
    if sorted(covered) != sorted(expected):
        raise DigestMismatch(
            f"{root} does not hold the files of {statement.package_name}",
            expected=shortened(", ".join(expected)),
            found=shortened(", ".join(covered)),
            remedy=TAMPERED,
        )
    storage = FileStorage(root)
    for file in statement.files:
        descriptor = storage.open_in_place(file.name)
        try:
            check_digest(storage.address(file.name), file.digest, digest_file(descriptor, file.digest.algorithm))
        finally:
            os.close(descriptor)
    return covered
