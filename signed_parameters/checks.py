"""What the policy demands of an envelope and of a statement. Pure: nothing here reads a file or a clock."""

from datetime import UTC, datetime

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from signed_parameters.envelope import Envelope
from signed_parameters.errors import (
    BadSignature,
    Expired,
    MalformedPackage,
    NameMismatch,
    RevokedDigest,
    RevokedKey,
    RolledBack,
    TooLarge,
    UnknownKey,
)
from signed_parameters.policy import TrustPolicy
from signed_parameters.statement import Statement

TAMPERED = "It was changed after it was signed, or damaged on its way: do not load it, and find out which."


def check_signatures(envelope: Envelope, policy: TrustPolicy) -> str:
    """Return the id of a trusted, unrevoked key whose signature of the envelope holds.

    A key is only ever tried with its own algorithm, whatever an envelope claims.

    Raises:
        RevokedKey, UnknownKey, BadSignature: there is no such signature, for the reason that comes nearest to one.
        MalformedPackage: there are more signatures than anybody needs.
    """
    if len(envelope.signatures) > policy.limits.signatures:
        raise MalformedPackage(
            "the envelope has too many signatures",
            expected=f"at most {policy.limits.signatures}",
            found=str(len(envelope.signatures)),
        )
    trusted = {key.key_id: key for key in policy.keys if key.algorithm in policy.signature_algorithms}
    claimed = [signature.key_id for signature in envelope.signatures]
    for signature in envelope.signatures:
        key = trusted.get(signature.key_id)
        if key is None or key.key_id in policy.revoked_keys:
            continue
        if key.signature_holds(envelope.signed_bytes, signature.value):
            return key.key_id
    usable = [key_id for key_id in claimed if key_id in trusted and key_id not in policy.revoked_keys]
    revoked = [key_id for key_id in claimed if key_id in policy.revoked_keys]
    if usable:
        raise BadSignature(f"the signature by key {usable[0]} does not hold", remedy=TAMPERED)
    if revoked:
        raise RevokedKey(
            f"the package is signed by key {revoked[0]}, which is revoked",
            remedy="Sign it again with a key that is trusted, if the package is.",
        )
    raise UnknownKey(
        "the package is not signed by a trusted key",
        expected=f"a signature by {' or '.join(trusted) or 'a key of an allowed algorithm'}",
        found=", ".join(claimed)[:200] or "none",
        remedy="Check that the policy has the verification key of who signed it.",
    )


def check_statement(statement: Statement, policy: TrustPolicy, now: datetime) -> None:
    """Check a statement, whose signature holds, against the policy.

    Raises:
        NameMismatch, RolledBack, Expired, RevokedDigest: it is another model or version; too old; over; revoked.
        MalformedPackage: its digest algorithm is not allowed.
        TooLarge: the package is larger than the policy's limit.
    """
    if statement.name != policy.name:
        raise NameMismatch("the package is another model's", expected=policy.name, found=statement.name)
    if not _in_range(statement.version, policy.version):
        raise NameMismatch(
            "the package is of a version that is not allowed", expected=policy.version, found=statement.version
        )
    if policy.parameters_version not in (None, statement.parameters_version):
        raise NameMismatch(
            "the package holds other parameters",
            expected=f"parameters version {policy.parameters_version}",
            found=statement.parameters_version,
            remedy="Somebody put it under another's name: restore the right one.",
        )
    if statement.serial < policy.minimum_serial:
        raise RolledBack(
            "the package is older than allowed",
            expected=f"serial {policy.minimum_serial} or later",
            found=f"serial {statement.serial}",
            remedy="To go back to it on purpose, lower minimum_serial in the reviewed configuration.",
        )
    if statement.expires is not None and now >= statement.expires:
        raise Expired(
            "the package has expired",
            expected=f"a time before {statement.expires:%Y-%m-%d %H:%M} UTC",
            found=f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            remedy="Sign it again, if it is still good, or load a newer one.",
        )
    if statement.package_digest.algorithm not in policy.digest_algorithms:
        raise MalformedPackage(
            "the package's digest is of an algorithm that is not allowed",
            expected=" or ".join(policy.digest_algorithms),
            found=statement.package_digest.algorithm,
        )
    if str(statement.package_digest) in policy.revoked_digests:
        raise RevokedDigest(
            f"the package {statement.package_digest} is revoked", remedy="Load another version of the parameters."
        )
    if statement.package_size > policy.limits.package_bytes:
        raise TooLarge(
            "the package is too large",
            expected=f"at most {policy.limits.package_bytes} bytes",
            found=f"{statement.package_size} bytes",
            remedy="Raise the policy's limits if this is meant.",
        )


def _in_range(version: str, allowed: str) -> bool:
    try:
        return not allowed or SpecifierSet(allowed).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
