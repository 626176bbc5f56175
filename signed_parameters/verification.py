"""Verification, in the process that will load the model, in five steps.

1. Read the envelope, and find signatures by enough trusted, unrevoked keys.     `checks.check_signatures`
2. Check the statement against the trust policy.                                 `checks.check_statement`
3. Read the package, hashing it, and compare with the signed size and digest.    `_open_verified`
4. Compare the archive with what the signed list of files says it must be.       `layout.check_layout`
5. Hand out files, whose digest is checked on the very bytes that are returned.  `verified.VerifiedPackage`

Nothing of a package is interpreted before step 4, and nothing unpickled before step 5. Where the address is that of a
latest pointer, steps 1 and 2 are first done with the pointer, and then the package has to be the one that it means.
"""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import IO

from signed_parameters.checks import TAMPERED, check_claims, check_pointed, check_signatures, check_statement
from signed_parameters.digests import Digest, digest_file, new_hasher
from signed_parameters.envelope import Envelope
from signed_parameters.errors import ConfigurationError, DigestMismatch, NotFound, StorageError, Unavailable
from signed_parameters.files import write_in_pieces
from signed_parameters.layout import check_layout
from signed_parameters.pointer import Pointer, beside, is_pointer
from signed_parameters.policy.trust_policy import TrustPolicy
from signed_parameters.receiving import receive
from signed_parameters.statement import ENVELOPE_SUFFIX, Statement
from signed_parameters.storage import Storage, locate
from signed_parameters.verified import VerifiedPackage, check_digest


def verify_package(
    uri: str | os.PathLike[str],
    policy: TrustPolicy,
    *,
    storage: Storage | None = None,
    now: datetime | None = None,
) -> VerifiedPackage:
    """Verify a package and return it, ready to be read.

    Args:
        uri: address of the package: a path, `s3://BUCKET/NAME`, or one of another kind, as `storage.choose` lists
            them. Its envelope is beside it. With `storage`, the package's name there. `MODEL@latest` in the place of
            the name leads to the package that the model's latest pointer means.
        policy: what is demanded.
        storage: where to read; by default `uri` says, and the environment how to reach it.
        now: the time to judge expiry by; by default the clock.

    Returns:
        The package. Close it, or use it in a `with` block.

    Raises:
        VerificationError: the package is refused.
        StorageError: it could not be read, or there is no envelope.
        ConfigurationError: the address is not usable, or `now` has no time zone.
    """
    trusted = find_trusted(uri, policy, storage=storage, now=now)
    statement = trusted.statement
    descriptor = _open_verified(trusted.storage, trusted.name, statement)
    try:
        entries = check_layout(descriptor, [(file.name, file.size) for file in statement.files])
    except BaseException:
        os.close(descriptor)
        raise
    return VerifiedPackage(trusted.envelope, statement, trusted.key_ids, descriptor, entries)


@dataclass(frozen=True)
class TrustedStatement:
    """What the first two steps give: what the package has to be, and where it is.

    Attributes:
        storage: where the package is.
        name: its name there.
        envelope: what carries the statement.
        statement: what the signer said.
        key_ids: ids of the trusted keys whose signatures hold.
    """

    storage: Storage
    name: str
    envelope: Envelope
    statement: Statement
    key_ids: tuple[str, ...]


def find_trusted(
    uri: str | os.PathLike[str], policy: TrustPolicy, *, storage: Storage | None = None, now: datetime | None = None
) -> TrustedStatement:
    """Take the first two steps, which read the envelope only. Arguments and errors are those of `verify_package`."""
    if now is not None and now.tzinfo is None:
        raise ConfigurationError("`now` is not usable", expected="a time with a time zone", found=str(now))
    name = os.fspath(uri)
    if storage is None:
        storage, name = locate(name, limits=policy.limits)
    now = now or datetime.now(UTC)
    pointer = None
    if is_pointer(name):
        pointer = _read_pointer(storage, name, policy, now)
        name = beside(name, pointer.package_name)
    envelope = read_envelope(storage, name, policy.limits.envelope_bytes)
    key_ids = check_signatures(envelope, policy, now)
    statement = Statement.from_payload(envelope.payload)
    check_statement(statement, policy, now)
    if pointer is not None:
        check_pointed(pointer, statement)
    return TrustedStatement(storage, name, envelope, statement, key_ids)


def read_envelope(storage: Storage, name: str, maximum: int) -> Envelope:
    """Read the envelope of a package or a pointer, of at most `maximum` bytes.

    Raises:
        NotFound: there is none.
        TooLarge: it is larger than an envelope can be.
        MalformedPackage: it is no envelope.
    """
    try:
        data = storage.read(name + ENVELOPE_SUFFIX, maximum)
    except NotFound as error:
        raise NotFound(
            f"there is no envelope {storage.address(name + ENVELOPE_SUFFIX)}",
            found=error.found,
            remedy="Check the address; publish a package with `signed-parameters latest`."
            if is_pointer(name)
            else "Check the address; a package that was never signed cannot be loaded.",
        ) from None
    return Envelope.from_bytes(data)


def _read_pointer(storage: Storage, name: str, policy: TrustPolicy, now: datetime) -> Pointer:
    envelope = read_envelope(storage, name, policy.limits.envelope_bytes)
    check_signatures(envelope, policy, now, Pointer.kind)
    pointer = Pointer.from_payload(envelope.payload)
    check_claims(pointer, policy, now)
    return pointer


def _open_verified(storage: Storage, name: str, statement: Statement) -> int:
    """Step 3: return a descriptor of the package after comparing its size and digest with the signed ones.

    A file of this machine is hashed where it is. Anything else is hashed while it comes in, into a temporary file that
    has no name. Not one byte over the signed size is stored.
    """
    address, size, algorithm = storage.address(name), statement.package_size, statement.package_digest.algorithm
    descriptor = storage.open_in_place(name)
    if descriptor is not None:
        try:
            check_size(address, size, os.fstat(descriptor).st_size)
            check_digest(address, statement.package_digest, digest_file(descriptor, algorithm))
        except OSError as error:
            os.close(descriptor)
            raise Unavailable(f"{address} cannot be read", found=str(error.strerror)) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    hasher = new_hasher(algorithm, one_core=True)  # faster than any download, and the client needs the other cores
    with _temporary_file() as copy, storage.stream(name) as download:
        if download.size is not None:
            check_size(address, size, download.size)
        check_size(address, size, receive(download.chunks, size, hasher, partial(_store, copy)))
        check_digest(address, statement.package_digest, Digest(algorithm, hasher.hexdigest()))
        return os.dup(copy.fileno())


def _temporary_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise StorageError(
            "there is no folder to keep the package in while it is used",
            found=str(error.strerror),
            remedy="Set TMPDIR to a folder that can be written to, such as a mounted emptyDir.",
        ) from None


def _store(copy: IO[bytes], part: memoryview) -> None:
    try:
        write_in_pieces(copy, part)
        copy.flush()
    except OSError as error:
        raise StorageError(
            f"the package cannot be kept in {tempfile.gettempdir()}",
            found=str(error.strerror),
            remedy="Make room there, or set TMPDIR to a folder that has some.",
        ) from None


def check_size(address: str, expected: int, found: int) -> None:
    """Raise DigestMismatch where a package has not the signed size, in bytes."""
    if found != expected:
        raise DigestMismatch(
            f"{address} is not the package that was signed",
            expected=f"{expected} bytes",
            found=f"{found} bytes" if found < expected else f"{found} bytes or more",
            remedy=TAMPERED,
        )
