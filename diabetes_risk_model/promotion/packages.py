"""The package that a version's tags lead to: found, checked and copied."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from diabetes_risk_model.promotion import tags
from diabetes_risk_model.promotion.git import temporary_folder
from diabetes_risk_model.promotion.registry import ModelVersion
from signed_parameters import (
    NameMismatch,
    NotFound,
    SignedParametersError,
    Statement,
    TooLarge,
    TrustPolicy,
    VerificationError,
    verify_package,
)
from signed_parameters.digests import DigestAlgorithm, digest_bytes
from signed_parameters.limits import DEFAULT_LIMITS
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Storage, open_storage
from signed_parameters.verification import find_trusted

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*/)*[A-Za-z0-9][A-Za-z0-9._+-]*\.zip")


@dataclass(frozen=True)
class Checked:
    """A package that was verified in full.

    Attributes:
        statement: what the signer said.
        key_ids: ids of the trusted keys whose signatures hold.
        file: its verified copy, with the envelope beside it, in a folder of this process alone.
    """

    statement: Statement
    key_ids: tuple[str, ...]
    file: Path


def package_name(version: ModelVersion, packages: str) -> str:
    """Return the name of a version's package below the folder of packages.

    Raises:
        NameMismatch: the version's tag names none, or one elsewhere.
    """
    uri = version.tags.get(tags.PACKAGE_URI, "")
    name = uri.removeprefix(f"{packages}/")
    if not uri.startswith(f"{packages}/") or not _NAME.fullmatch(name):
        raise NameMismatch(
            "the version's tag leads to no package of this model's",
            expected=f"{packages}/NAME.zip",
            found=repr(uri[:200]) if uri else "no tag",
            remedy="Register the version with `diabetes-risk-model train --track`.",
        )
    return name


def fetch(version: ModelVersion, packages: str, policy: TrustPolicy, folder: Path) -> Checked:
    """Verify a version's package, and keep a copy of exactly the bytes that were verified.

    The envelope is judged, and compared with the version's tags, before the package is fetched.

    Args:
        version: of the registry.
        packages: the one folder that packages are taken from.
        policy: what is demanded.
        folder: a new folder for the copy.

    Raises:
        VerificationError: the package is refused, or the tags lie.
        StorageError: it could not be had.
    """
    name, storage = package_name(version, packages), open_storage(packages, limits=policy.limits)
    trusted = find_trusted(name, policy, storage=storage)
    tags.check(version.tags, trusted.statement, trusted.envelope)
    with verify_package(name, policy, storage=storage) as package:
        tags.check(version.tags, package.statement, package.envelope)  # the envelope was read once more
        return Checked(package.statement, package.key_ids, package.save(folder / package.statement.package_name))


def envelope_digest(version: ModelVersion, packages: str) -> str:
    """Return a digest of the envelope that a version's tags lead to, whatever it says; empty where none can be had."""
    try:
        name = package_name(version, packages) + ENVELOPE_SUFFIX
        data = open_storage(packages).read(name, DEFAULT_LIMITS.envelope_bytes)
    except SignedParametersError:
        return ""
    return str(digest_bytes(data, DigestAlgorithm.BLAKE3))


def deployed_folder(bucket: str, envelope: bytes) -> str:
    """Return the folder for a package's copy: named after its envelope, so that what is deployed is never replaced."""
    return f"{bucket}/{str(digest_bytes(envelope, DigestAlgorithm.BLAKE3)).replace(':', '-')}"


def copy(checked: Checked, bucket: str, policy: TrustPolicy) -> str:
    """Copy a package to where a stage's pods read it, and return its address there.

    The envelope comes last. What is there already and is verified stays. Anything else is replaced.

    Raises:
        StorageError: it cannot be written.
    """
    name = checked.file.name
    envelope = checked.file.with_name(name + ENVELOPE_SUFFIX).read_bytes()
    storage = open_storage(deployed_folder(bucket, envelope), limits=policy.limits)
    if not _is_there(storage, name, envelope, policy):
        storage.write(name, checked.file, overwrite=True)
        storage.write_bytes(name + ENVELOPE_SUFFIX, envelope, overwrite=True)
    return storage.address(name)


def lies_at(address: str, bucket: str) -> bool:
    """Tell whether the envelope of a copy lies where it was put. The package itself is not looked at.

    Raises:
        StorageError: the storage does not answer, or refuses.
    """
    folder, _, name = address.rpartition("/")
    try:
        envelope = open_storage(folder).read(name + ENVELOPE_SUFFIX, DEFAULT_LIMITS.envelope_bytes)
    except (NotFound, TooLarge):
        return False
    return folder == deployed_folder(bucket, envelope)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that only this user can enter, and that goes with the block.

    Raises:
        Unavailable: there is no place for it.
    """
    with temporary_folder() as folder:
        yield Path(folder)


def _is_there(storage: Storage, name: str, envelope: bytes, policy: TrustPolicy) -> bool:
    try:
        with verify_package(name, policy, storage=storage) as package:
            return package.envelope.to_bytes() == envelope
    except (NotFound, VerificationError):
        return False
