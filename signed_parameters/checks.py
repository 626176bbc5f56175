"""What the policy demands of an envelope and of a statement. Pure: nothing here reads a file or a clock."""

from datetime import UTC, datetime

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from signed_parameters.envelope import Envelope
from signed_parameters.errors import (
    BadSignature,
    DigestMismatch,
    Expired,
    MalformedPackage,
    NameMismatch,
    RevokedDigest,
    RevokedKey,
    RolledBack,
    TooFewSignatures,
    TooLarge,
    UnknownKey,
    UnsafePickle,
)
from signed_parameters.keys.keyring import KeyStatus, TrustedKey
from signed_parameters.pointer import Pointer
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.statement import Claims, Statement

TAMPERED = "It was changed after it was signed, or damaged on its way: do not load it, and find out which."


def check_signatures(
    envelope: Envelope, policy: TrustPolicy, now: datetime, kind: str = Statement.kind
) -> tuple[str, ...]:
    """Return the ids of the trusted keys whose signatures of the envelope hold: as many as the threshold, or more.

    A key is only ever tried with its own algorithm, whatever an envelope claims, and counts once. `kind` is what the
    messages call it.

    Raises:
        TooFewSignatures, BadSignature, RevokedKey, UnknownKey: there are too few, for the reason that comes nearest.
        MalformedPackage: there are more signatures than anybody needs.
    """
    if len(envelope.signatures) > policy.limits.signatures:
        raise MalformedPackage(
            "the envelope has too many signatures",
            expected=f"at most {policy.limits.signatures}",
            found=str(len(envelope.signatures)),
        )
    keys = {key.key_id: key for key in policy.trusted_keys}
    revoked = {key_id for key_id, key in keys.items() if key.status is KeyStatus.REVOKED} | set(policy.revoked_keys)
    trusted = {
        key_id: key
        for key_id, key in keys.items()
        if key_id not in revoked and key.key.algorithm in policy.signature_algorithms and key.counts_at(now)
    }
    holding: dict[str, None] = {}
    for signature in envelope.signatures:
        key = trusted.get(signature.key_id)
        if key is not None and key.key.signature_holds(envelope.signed_bytes, signature.value):
            holding[signature.key_id] = None
    if len(holding) >= policy.threshold:
        return tuple(holding)
    claimed = [signature.key_id for signature in envelope.signatures]
    if bad := [key_id for key_id in claimed if key_id in trusted and key_id not in holding]:
        raise BadSignature(f"the signature by key {bad[0]} does not hold", remedy=TAMPERED)
    if withdrawn := [key_id for key_id in claimed if key_id in revoked]:
        raise RevokedKey(
            f"the {kind} is signed by key {withdrawn[0]}, which is revoked",
            remedy="Sign it again with a key that is trusted, if what it says is.",
        )
    if holding:
        raise TooFewSignatures(
            f"the {kind} is not signed by enough trusted keys",
            expected=f"signatures by {policy.threshold} of {', '.join(trusted)}",
            found=f"{len(holding)}, by {', '.join(holding)}",
            remedy="Have it signed by the others who have to agree, with `signed-parameters resign`.",
        )
    outside = [keys[key_id] for key_id in claimed if key_id in keys and not keys[key_id].counts_at(now)]
    raise UnknownKey(
        f"the {kind} is not signed by a trusted key",
        expected=f"a signature by {' or '.join(trusted) or 'a key of an allowed algorithm'}",
        found=_describe_time(outside[0]) if outside else ", ".join(claimed)[:200] or "none",
        remedy="Check that the policy has the verification key of who signed it."
        if not outside
        else "Sign it again with a key that counts now: `signed-parameters resign`.",
    )


def _describe_time(key: TrustedKey) -> str:
    since = f" from {key.not_before:%Y-%m-%d %H:%M}" if key.not_before else ""
    until = f" until {key.not_after:%Y-%m-%d %H:%M}" if key.not_after else ""
    return f"one by {key.key_id}, which counts{since}{until} UTC only"


def check_claims(claims: Claims, policy: TrustPolicy, now: datetime) -> None:
    """Check what statements of every kind say of a model, where a signature holds, against the policy.

    Raises:
        DigestMismatch: the policy names one package, and it is about another.
        NameMismatch, RolledBack, Expired: it is another model or version; too old; over.
    """
    if policy.package_digest is not None and str(claims.package_digest) != str(policy.package_digest):
        raise DigestMismatch(
            f"the {claims.kind} has another digest than the policy names",
            expected=str(policy.package_digest),
            found=str(claims.package_digest),
            remedy="The policy accepts one package only: restore that one, or have its package_digest changed in the "
            "reviewed configuration.",
        )
    if claims.name != policy.name:
        raise NameMismatch(f"the {claims.kind} is another model's", expected=policy.name, found=claims.name)
    if not _in_range(claims.version, policy.version):
        raise NameMismatch(
            f"the {claims.kind} is of a version that is not allowed", expected=policy.version, found=claims.version
        )
    if policy.parameters_version not in (None, claims.parameters_version):
        raise NameMismatch(
            f"the {claims.kind} holds other parameters",
            expected=f"parameters version {policy.parameters_version}",
            found=claims.parameters_version,
            remedy="Somebody put it under another's name: restore the right one.",
        )
    if claims.serial < policy.minimum_serial:
        raise RolledBack(
            f"the {claims.kind} is older than allowed",
            expected=f"serial {policy.minimum_serial} or later",
            found=f"serial {claims.serial}",
            remedy="To go back to it on purpose, lower minimum_serial in the reviewed configuration.",
        )
    if claims.expires is not None and now >= claims.expires:
        raise Expired(
            f"the {claims.kind} has expired",
            expected=f"a time before {claims.expires:%Y-%m-%d %H:%M} UTC",
            found=f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            remedy="Sign it again, if it is still good, or load a newer one.",
        )
    if policy.maximum_age is not None and now - claims.created >= policy.maximum_age:
        raise Expired(
            f"the {claims.kind} is older than the policy allows",
            expected=f"one created within {policy.maximum_age} before now",
            found=f"created {claims.created:%Y-%m-%d %H:%M} UTC",
            remedy="Sign a new one, or raise maximum_age in the reviewed configuration.",
        )


def check_pointed(pointer: Pointer, statement: Statement) -> None:
    """Check that a package's statement is about the package that a pointer means.

    Raises:
        DigestMismatch: it is about other bytes.
        NameMismatch: it is about the same bytes, by another name, version or serial.
    """
    if not statement.package_digest.equals(pointer.package_digest):
        raise DigestMismatch(
            f"{pointer.package_name} is not the package that the pointer means",
            expected=str(pointer.package_digest),
            found=str(statement.package_digest),
            remedy="Restore the package, or publish the one that is there: `signed-parameters latest`.",
        )
    for what in ("name", "version", "parameters_version", "serial"):
        meant, found = getattr(pointer, what), getattr(statement, what)
        if meant != found:
            raise NameMismatch(
                f"{pointer.package_name} says something else of itself than the pointer",
                expected=f"{what} {meant}",
                found=str(found),
                remedy="It was signed anew since: publish it again with `signed-parameters latest`.",
            )


def check_statement(statement: Statement, policy: TrustPolicy, now: datetime) -> None:
    """Check a package's statement, whose signature holds, against the policy.

    Raises:
        DigestMismatch: the policy names one package, and it is another.
        NameMismatch, RolledBack, Expired, RevokedDigest: it is another model or version; too old; over; revoked.
        UnsafePickle: a pickle in it needs a global that the policy does not allow.
        MalformedPackage: its digest algorithm is not allowed.
        TooLarge: the package is larger than the policy's limit.
    """
    check_claims(statement, policy, now)
    if policy.allowed_globals is not None:
        asked = {name for names in statement.pickles.values() for name in names}
        if beyond := sorted(asked - set(policy.allowed_globals)):
            raise UnsafePickle(
                "a pickle of the package asks for what the policy does not allow",
                expected=f"some of {len(policy.allowed_globals)} allowed globals",
                found=", ".join(beyond)[:200],
                remedy="Review them, and add them to allowed_globals if they are harmless.",
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
