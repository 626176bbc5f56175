"""The next serial of a model: one above the highest that was ever signed."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from signed_parameters.checks import check_signatures
from signed_parameters.errors import ConfigurationError, NotFound, TooLarge, VerificationError
from signed_parameters.pointer import read_claims
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.statement import ENVELOPE_SUFFIX, MAXIMUM_SERIAL
from signed_parameters.storage import Storage, open_storage
from signed_parameters.threads import map_in_threads
from signed_parameters.verification import read_envelope


def next_serial(uri: str | os.PathLike[str], policy: TrustPolicy, *, storage: Storage | None = None) -> int:
    """Return the serial for a model's next package.

    It is one above the highest of all envelopes below `uri`, pointers included, that are the model's and that a trusted
    key has signed. What anybody else wrote there does not count, or anybody could use up the serials with one large
    number; so what is signed by revoked keys only, or by keys whose time is over, does not count either. One signature
    is enough, whatever the threshold: a package that waits for its second signature has taken its serial. It is never
    below the policy's `minimum_serial`, so a line whose keys have all been replaced does not begin anew.

    Two who ask at the same time get the same serial: let one job at a time sign a model's packages.

    Args:
        uri: address of the folder or bucket with the model's packages; one that does not exist holds none.
        policy: the model's name and the trusted keys. Its other demands do not matter here.
        storage: where to read; by default `uri` says.

    Returns:
        The serial; 1 for the first.

    Raises:
        StorageError: an envelope could not be read: it might have the highest serial.
        ConfigurationError: the address is not usable, or no serial is left.
    """
    storage = storage or open_storage(os.fspath(uri), limits=policy.limits)
    highest = max(_serials(storage, policy), default=0)
    if highest >= MAXIMUM_SERIAL:
        raise ConfigurationError(
            f"no serial is left for {policy.name} below {os.fspath(uri)}",
            expected=f"serials below {MAXIMUM_SERIAL}",
            found=str(highest),
            remedy="A trusted key signed a package with the last one: find out why, and delete its envelope.",
        )
    return max(highest + 1, policy.minimum_serial)


def _serials(storage: Storage, policy: TrustPolicy) -> Iterator[int]:
    now, demands = datetime.now(UTC), replace(policy, threshold=1)

    def serial_of(name: str) -> int:
        try:
            envelope = read_envelope(storage, name.removesuffix(ENVELOPE_SUFFIX), policy.limits.envelope_bytes)
            check_signatures(envelope, demands, now)
            claims = read_claims(envelope.payload)
        except (VerificationError, NotFound, TooLarge):  # no envelope of a trusted key, or deleted meanwhile
            return 0
        return claims.serial if claims.name == policy.name else 0

    return map_in_threads(serial_of, storage.names(ENVELOPE_SUFFIX))
