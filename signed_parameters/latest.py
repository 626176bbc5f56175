"""Publishing: writing the pointer that says which package of a model is to be loaded."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from signed_parameters.checks import check_signatures
from signed_parameters.envelope import Envelope
from signed_parameters.errors import ConfigurationError, NameMismatch, NotFound, RolledBack, VerificationError
from signed_parameters.keys.keyring import Keyring
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.pointer import Pointer, is_pointer, pointer_name
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.statement import ENVELOPE_SUFFIX, Statement, describe_problem
from signed_parameters.storage import Storage, locate
from signed_parameters.verification import read_envelope, verify_package


def publish_latest(
    uri: str | os.PathLike[str],
    *,
    key: SigningKey,
    policy: TrustPolicy,
    expires_in: timedelta | None = None,
    back: bool = False,
    storage: Storage | None = None,
) -> str:
    """Verify a package, and point to it: `MODEL@latest` beside it leads there from then on.

    Where the policy has a threshold, the pointer is refused until the others have signed it too, with `resign`.

    Args:
        uri: address of the package.
        key: signs the pointer. The policy has to trust it.
        policy: what the package has to fulfil, and what the present pointer is checked by.
        expires_in: how long the pointer is good; None for ever. With a short time, an old pointer that somebody puts
            back is refused soon.
        back: whether it may be a package with a smaller serial than the one that is pointed to now. The policy's
            `minimum_serial` holds all the same.
        storage: as for `verify_package`.

    Returns:
        Address of the pointer, for `verify_package`.

    Raises:
        RolledBack: the package is older than the one that is pointed to now, or than the policy allows.
        VerificationError: the package is refused; or a pointer is there that is not signed by a trusted key, or is
            another model's, and which is therefore left as it is.
        StorageError: something could not be read or written.
        ConfigurationError: the key is not one to sign with, or a value is not usable.
    """
    now = datetime.now(UTC)
    package = os.fspath(uri)
    if is_pointer(package):
        raise ConfigurationError(f"{package!r} is a pointer's address", expected="the address of a package")
    if storage is None:
        storage, package = locate(package, limits=policy.limits)
    Keyring(tuple({trusted.key_id: trusted for trusted in policy.trusted_keys}.values())).check_can_sign(key, now)
    with verify_package(package, policy, storage=storage, now=now) as verified:
        pointer = _pointer_to(package.rpartition("/")[2], verified.statement, now, expires_in)
    envelope = Envelope(pointer.to_payload(), ()).signed_by(key)
    check_signatures(envelope, replace(policy, threshold=1), now, Pointer.kind)
    name = pointer_name(policy.name, package)
    present = _present(storage, name, policy, now)
    if present is not None and not back:
        _check_order(pointer, present)
    storage.write_bytes(name + ENVELOPE_SUFFIX, envelope.to_bytes(), overwrite=present is not None)
    return storage.address(name)


def _pointer_to(package_name: str, statement: Statement, now: datetime, expires_in: timedelta | None) -> Pointer:
    created = now.replace(microsecond=0)
    try:
        return Pointer(
            name=statement.name,
            version=statement.version,
            parameters_version=statement.parameters_version,
            serial=statement.serial,
            created=created,
            expires=None if expires_in is None else (created + expires_in).replace(microsecond=0),
            package_name=package_name,
            package_digest=statement.package_digest,
        )
    except ValidationError as error:
        raise ConfigurationError(
            f"{package_name!r} cannot be pointed to",
            found=describe_problem(error),
            remedy=f"The usual name is {statement.package_name}.",
        ) from None
    except OverflowError:
        raise ConfigurationError(
            f"{package_name!r} cannot be pointed to", expected="the pointer to expire before the year 10000"
        ) from None


def _present(storage: Storage, name: str, policy: TrustPolicy, now: datetime) -> Pointer | None:
    """Return the pointer that would be replaced. It may have expired, and be short of the threshold."""
    try:
        envelope = read_envelope(storage, name, policy.limits.envelope_bytes)
    except NotFound:
        return None
    try:
        check_signatures(envelope, replace(policy, threshold=1), now, Pointer.kind)
        pointer = Pointer.from_payload(envelope.payload)
        if pointer.name != policy.name:
            raise NameMismatch("the pointer is another model's", expected=policy.name, found=pointer.name)
    except VerificationError as error:
        raise type(error)(
            f"what is at {storage.address(name)} is not replaced, because {error.problem}",
            expected=error.expected,
            found=error.found,
            remedy="Find out who wrote it. Then delete it, and publish again.",
        ) from None
    return pointer


def _check_order(pointer: Pointer, present: Pointer) -> None:
    if pointer.serial < present.serial:
        raise RolledBack(
            "the package is older than the one that is pointed to now",
            expected=f"serial {present.serial} or later",
            found=f"serial {pointer.serial}",
            remedy="To go back on purpose, ask for that: back=True, or `--back`.",
        )
    if pointer.serial == present.serial and not pointer.package_digest.equals(present.package_digest):
        raise RolledBack(
            "another package has the same serial as the one that is pointed to now",
            expected=f"a serial after {present.serial}",
            found=f"serial {pointer.serial}",
            remedy="Sign it with the next serial: `signed-parameters next-serial`.",
        )
