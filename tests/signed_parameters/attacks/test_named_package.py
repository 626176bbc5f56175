"""Other bytes in the place of the package that a policy names, by a trusted signer who can write to the bucket.

Its name, version, parameters version and serial are those of the package that was reviewed. Only the bytes differ.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import Digest, DigestAlgorithm, digest_bytes
from signed_parameters.pointer import Pointer
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.verification import find_trusted

NAME = "package.zip"
OBJECT = "m@latest" + ENVELOPE_SUFFIX
REVIEWED, OTHER = {"a": b"reviewed"}, {"a": b"others'!"}


class Model(sp.SignedParameters):
    qualified_name = "m"
    version = "0.1.0"


WAYS: dict[str, Callable[[Path, sp.TrustPolicy], object]] = {
    "verify_package": sp.verify_package,
    "find_trusted": find_trusted,
    "load_model": sp.load_model,
    "extract_package": lambda path, policy: sp.extract_package(path, path.with_name("models"), policy),
    "SignedParameters": lambda path, policy: Model(parameters_uri=path, trust_policy=policy),
    "resign": lambda path, policy: sp.resign(path, key=sp.SigningKey.generate(), trusted=policy),
}


@pytest.fixture(params=list(DigestAlgorithm))
def named(request: pytest.FixtureRequest, workshop: Any) -> sp.TrustPolicy:
    """A policy that names the package that was reviewed, in whose place there is another, of the same claims."""
    algorithm: DigestAlgorithm = request.param
    reviewed, other = (workshop.archive(files) for files in (REVIEWED, OTHER))
    pinned = digest_bytes(reviewed, algorithm)
    workshop.put_signed(REVIEWED, package_digest=pinned)
    policy = replace(workshop.policy, package_digest=pinned)
    workshop.verify(policy).close()
    workshop.put_signed(OTHER, package_digest=digest_bytes(other, algorithm))
    workshop.storage.served.clear()
    return policy


def test_other_bytes_by_a_trusted_key(workshop: Any, refused: Any, named: sp.TrustPolicy) -> None:
    """A policy that names none takes them: this is the attack."""
    with refused(sp.DigestMismatch, match="than the policy names") as caught:
        workshop.verify(named)
    assert caught.value.expected == str(named.package_digest)
    assert caught.value.found == str(digest_bytes(workshop.archive(OTHER), Digest.parse(caught.value.found).algorithm))
    assert NAME not in workshop.storage.served, "the package is not even fetched"
    assert workshop.verify().read("a") == OTHER["a"]


def test_other_bytes_that_claim_to_be_the_named_package(workshop: Any, refused: Any, named: sp.TrustPolicy) -> None:
    assert named.package_digest is not None
    workshop.put_signed(OTHER, package_digest=Digest.parse(str(named.package_digest)))
    with refused(sp.DigestMismatch, match=r"memory://package\.zip is not what was signed"):
        workshop.verify(named)


def test_the_named_digest_under_another_algorithm(workshop: Any, refused: Any, named: sp.TrustPolicy) -> None:
    digest = Digest.parse(str(named.package_digest))
    (other,) = set(DigestAlgorithm) - {digest.algorithm}
    workshop.put_signed(REVIEWED, package_digest=Digest(other, digest.value))
    with refused(sp.DigestMismatch, match=f"expected {digest}, found {other}:{digest.value}"):
        workshop.verify(named)


@pytest.mark.parametrize(
    "changes", [{"serial": 8}, {"serial": 0}, {"name": "other"}, {"version": "0.2.0"}, {"parameters_version": "2"}]
)
def test_other_bytes_that_claim_something_else(
    workshop: Any, refused: Any, named: sp.TrustPolicy, changes: dict[str, Any]
) -> None:
    workshop.put_signed(OTHER, **changes)
    with refused(sp.DigestMismatch, match="than the policy names"):
        workshop.verify(replace(named, minimum_serial=1, parameters_version="1", version="==0.1.0"))


@pytest.mark.parametrize("changes", [{"serial": 0}, {"name": "other"}, {"version": "0.2.0"}])
def test_the_named_package_has_to_fulfil_all_else_too(
    workshop: Any, refused: Any, named: sp.TrustPolicy, changes: dict[str, Any]
) -> None:
    workshop.put_signed(REVIEWED, package_digest=Digest.parse(str(named.package_digest)), **changes)
    with refused(sp.NameMismatch, sp.RolledBack):
        workshop.verify(replace(named, minimum_serial=1, version="==0.1.0"))


@pytest.mark.parametrize("revoked", [True, False])
def test_the_named_package_can_be_revoked(workshop: Any, refused: Any, named: sp.TrustPolicy, revoked: bool) -> None:
    digest = Digest.parse(str(named.package_digest))
    workshop.put_signed(REVIEWED, package_digest=digest)
    policy = replace(named, revoked_digests=[str(digest)] if revoked else ["sha256:" + "0" * 64])
    if not revoked:
        workshop.verify(policy).close()
        return
    with refused(sp.RevokedDigest):
        workshop.verify(policy)


@pytest.mark.parametrize("way", WAYS)
def test_other_bytes_by_every_way_in(make_package: Any, policy: sp.TrustPolicy, refused: Any, way: str) -> None:
    """The package is taken away: what is refused was not looked at."""
    reviewed, other = make_package(REVIEWED, name="reviewed.zip"), make_package(OTHER)
    named = replace(policy, package_digest=find_trusted(reviewed, policy).statement.package_digest)
    other.unlink()
    envelope = other.with_name(NAME + ENVELOPE_SUFFIX).read_bytes()
    with refused(sp.DigestMismatch, match="than the policy names"):
        WAYS[way](other, named)
    assert other.with_name(NAME + ENVELOPE_SUFFIX).read_bytes() == envelope
    assert not other.with_name("models").exists()


def test_a_pointer_to_another_package(workshop: Any, refused: Any, named: sp.TrustPolicy) -> None:
    _point(workshop)
    with refused(sp.DigestMismatch, match="the pointer has another digest than the policy names"):
        sp.verify_package("m@latest", named, storage=workshop.storage)
    assert set(workshop.storage.served) == {OBJECT}
    with sp.verify_package("m@latest", workshop.policy, storage=workshop.storage) as package:
        assert package.read("a") == OTHER["a"]


def test_a_pointer_to_the_named_package_in_whose_place_there_is_another(
    workshop: Any, refused: Any, named: sp.TrustPolicy
) -> None:
    _point(workshop, package_digest=Digest.parse(str(named.package_digest)))
    with refused(sp.DigestMismatch, match="the package has another digest than the policy names"):
        sp.verify_package("m@latest", named, storage=workshop.storage)
    assert NAME not in workshop.storage.served


def test_nothing_but_the_named_package_is_signed_or_published(
    workshop: Any, refused: Any, named: sp.TrustPolicy
) -> None:
    """An approver adds a signature to what was reviewed, and to nothing else in the bucket."""
    _point(workshop)
    before = dict(workshop.storage.objects)
    approver = sp.SigningKey.generate()
    done = sp.resign("", key=approver, trusted=named, storage=workshop.storage)
    assert [type(error) for error in done.failed.values()] == [sp.DigestMismatch] * 2
    with refused(sp.DigestMismatch, match="than the policy names"):
        sp.publish_latest(NAME, key=workshop.key, policy=named, storage=workshop.storage)
    assert workshop.storage.objects == before
    workshop.put_signed(REVIEWED, package_digest=Digest.parse(str(named.package_digest)))
    sp.publish_latest(NAME, key=workshop.key, policy=named, storage=workshop.storage)
    assert len(sp.resign("", key=approver, trusted=named, storage=workshop.storage).signed) == 2
    sp.verify_package("m@latest", named, storage=workshop.storage).close()


def _point(workshop: Any, **changes: Any) -> None:
    statement = find_trusted(NAME, workshop.policy, storage=workshop.storage).statement
    claims = {name: getattr(statement, name) for name in ("name", "version", "parameters_version", "serial")}
    about = {"package_name": NAME, "package_digest": statement.package_digest, **changes}
    pointer = Pointer(**claims, created=datetime(2026, 11, 21, tzinfo=UTC), **about)
    workshop.storage.objects[OBJECT] = workshop.envelope(pointer.to_payload())
    workshop.storage.served.clear()
