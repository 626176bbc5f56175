"""Signing again what is signed already: with a new key, or as one more of several who have to agree.

Only envelopes are read and written, never a package. An envelope is signed only after a trusted key's signature of it
was found to hold; otherwise a stranger's envelope would get a good signature.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime

from signed_parameters.checks import check_claims, check_signatures, check_statement
from signed_parameters.envelope import Envelope
from signed_parameters.errors import ConfigurationError, MalformedPackage, NotFound, SignedParametersError, TooLarge
from signed_parameters.keys.keyring import Keyring, TrustedKey
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.keys.verification_key import VerificationKey
from signed_parameters.limits import Limits
from signed_parameters.pointer import Pointer, is_pointer, read_claims
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.statement import ENVELOPE_SUFFIX, Statement
from signed_parameters.storage import Storage, locate, open_storage
from signed_parameters.threads import map_in_threads
from signed_parameters.verification import read_envelope

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Resigned:
    """What `resign` did with a folder.

    Attributes:
        signed: addresses of what got the key's signature.
        skipped: addresses of what had it already.
        failed: what was not signed, with the reason, by address.
    """

    signed: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: Mapping[str, SignedParametersError]


def resign(
    uri: str | os.PathLike[str],
    *,
    key: SigningKey,
    trusted: Keyring | Iterable[VerificationKey | TrustedKey] | TrustPolicy,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    storage: Storage | None = None,
) -> Resigned:
    """Add a key's signature to the envelope of one package, or to all below a folder or bucket, pointers included.

    What has the key's good signature already is skipped, so a run that was broken off is simply started again. Each
    envelope is replaced whole. One that is refused stops nothing but itself. Two who sign the same envelopes at the
    same moment can lose a signature: run it again then.

    Args:
        uri: address of a package, a pointer, a folder or a bucket.
        key: signs.
        trusted: whose signatures are believed: one good one is enough. With a trust policy, what an envelope says has
            to fulfil that too, but for its threshold: this is how an approver adds the second of two signatures.
        replace: put the key's signature in the place of all others.
        dry_run: only find out what would be done.
        progress: called after each envelope, with the number that is done and the number in all.
        storage: where to read and write; by default `uri` says. With it, `uri` is the package's name there, or empty
            for everything.

    Returns:
        What was done. Look at `failed`: a folder's failures are collected there.

    Raises:
        NotFound: there is no envelope at or below the address.
        VerificationError, StorageError: the one package is refused, or cannot be read or written; or the folder
            cannot be listed.
        ConfigurationError: the key is revoked or retired, or a value is not usable.
    """
    now = datetime.now(UTC)
    by_policy = isinstance(trusted, TrustPolicy)
    policy = trusted if isinstance(trusted, TrustPolicy) else TrustPolicy(name="any", keys=trusted)
    _check_key(key, policy, replace, now)
    storage, names, alone = _find(os.fspath(uri), storage, policy.limits)
    signer = _Signer(storage, key, key.verification_key, policy, by_policy, replace, dry_run, now)
    done: dict[str, bool | SignedParametersError] = {}
    if alone:
        done[names[0]] = signer.sign(names[0])
    else:
        with closing(map_in_threads(signer.try_to_sign, names)) as outcomes:
            for name, outcome in zip(names, outcomes, strict=True):
                done[name] = outcome
                if progress is not None:
                    progress(len(done), len(names))
    addresses = {storage.address(name): outcome for name, outcome in done.items()}
    return Resigned(
        signed=tuple(address for address, outcome in addresses.items() if outcome is True),
        skipped=tuple(address for address, outcome in addresses.items() if outcome is False),
        failed={
            address: outcome for address, outcome in addresses.items() if isinstance(outcome, SignedParametersError)
        },
    )


def _check_key(key: SigningKey, policy: TrustPolicy, replace: bool, now: datetime) -> None:
    known = {trusted.key_id: trusted for trusted in policy.trusted_keys}
    if key.key_id in known:
        Keyring(tuple(known.values())).check_can_sign(key, now)
    if key.key_id in policy.revoked_keys:
        raise ConfigurationError(f"key {key.key_id} is revoked", remedy="Sign with a key that counts.")
    if replace and policy.threshold > 1:
        raise ConfigurationError(
            "the signatures of others would be taken away",
            expected=f"signatures by {policy.threshold} keys, as the policy asks",
            remedy="Add yours without replacing theirs.",
        )


def _find(uri: str, storage: Storage | None, limits: Limits) -> tuple[Storage, list[str], bool]:
    """Return the storage, the names of what is to be signed, and whether it is one by its own address."""
    uri = uri.removesuffix(ENVELOPE_SUFFIX)
    if storage is None and not uri:
        raise ConfigurationError("the address is empty", expected="a package, a folder, or a bucket")
    place, name = _place(uri, storage, limits)
    if name and _exists(place, name + ENVELOPE_SUFFIX, limits):
        return place, [name], True
    place = storage or open_storage(uri, limits=limits)
    names = [found.removesuffix(ENVELOPE_SUFFIX) for found in place.names(ENVELOPE_SUFFIX)]
    if storage is not None and uri:
        names = [found for found in names if found.startswith(uri.rstrip("/") + "/")]
    if not names:
        raise NotFound(
            f"there is no envelope at or below {uri or place.address('')}",
            remedy="Check the address; what was never signed cannot be signed again.",
        )
    return place, names, False


def _place(uri: str, storage: Storage | None, limits: Limits) -> tuple[Storage, str]:
    if storage is not None:
        return storage, uri
    if uri.endswith("/") or uri.rpartition("/")[0].endswith(":/"):  # a folder or a bucket by its form
        return open_storage(uri, limits=limits), ""
    return locate(uri, limits=limits)


def _exists(storage: Storage, name: str, limits: Limits) -> bool:
    try:
        storage.read(name, limits.envelope_bytes)
    except NotFound:
        return False
    except TooLarge:
        return True
    return True


@dataclass(frozen=True)
class _Signer:
    storage: Storage
    key: SigningKey
    verification_key: VerificationKey
    policy: TrustPolicy
    by_policy: bool
    replace: bool
    dry_run: bool
    now: datetime

    def try_to_sign(self, name: str) -> bool | SignedParametersError:
        """Return what `sign` does, or the error that it raises."""
        try:
            return self.sign(name)
        except SignedParametersError as error:
            return error

    def sign(self, name: str) -> bool:
        """Sign the envelope of a package or pointer. Return False where that was done already."""
        limits = self.policy.limits
        envelope = read_envelope(self.storage, name, limits.envelope_bytes)
        if self._is_done(envelope):
            return False
        self._check(envelope, Pointer.kind if is_pointer(name) else Statement.kind)
        others = () if self.replace else tuple(s for s in envelope.signatures if s.key_id != self.key.key_id)
        signed = Envelope(envelope.payload, others).signed_by(self.key)
        if len(signed.signatures) > limits.signatures:
            raise MalformedPackage(
                f"{self.storage.address(name)} would have too many signatures to be verified",
                expected=f"at most {limits.signatures}",
                found=str(len(signed.signatures)),
                remedy="Replace those that are there: replace=True, or `--replace`.",
            )
        data = signed.to_bytes()
        if len(data) > limits.envelope_bytes:
            raise self.storage.too_large(name + ENVELOPE_SUFFIX, limits.envelope_bytes, f"{len(data)} bytes")
        if not self.dry_run:
            self.storage.write_bytes(name + ENVELOPE_SUFFIX, data, overwrite=True)
        return True

    def _is_done(self, envelope: Envelope) -> bool:
        signed = any(
            signature.key_id == self.key.key_id
            and self.verification_key.signature_holds(envelope.signed_bytes, signature.value)
            for signature in envelope.signatures
        )
        return signed and not (self.replace and len(envelope.signatures) > 1)

    def _check(self, envelope: Envelope, kind: str) -> None:
        check_signatures(envelope, changed(self.policy, threshold=1), self.now, kind)
        claims = read_claims(envelope.payload)
        if self.by_policy and isinstance(claims, Statement):
            check_statement(claims, self.policy, self.now)
        elif self.by_policy:
            check_claims(claims, self.policy, self.now)
