"""Attacks on the latest pointer: old ones, forged ones, and others in its place."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.envelope import Envelope
from signed_parameters.pointer import Pointer
from signed_parameters.statement import ENVELOPE_SUFFIX

CREATED = datetime(2026, 11, 21, tzinfo=UTC)
POINTER = "m@latest"
OBJECT = POINTER + ENVELOPE_SUFFIX

PutPackage = Callable[..., None]
PointTo = Callable[..., Pointer]


@pytest.fixture
def put_package(workshop: Any) -> PutPackage:
    """`put_package(7)` stores the package m-7.zip, validly signed, with serial 7."""

    def put(serial: int, name: str = "", **changes: Any) -> None:
        files = {"a": b"%d" % serial}
        archive, package = workshop.archive(files), name or f"m-{serial}.zip"
        statement = workshop.statement(archive, files, serial=serial, **changes)
        workshop.storage.objects[package] = archive
        workshop.storage.objects[package + ENVELOPE_SUFFIX] = workshop.envelope(statement)

    return put


@pytest.fixture
def point_to(workshop: Any) -> PointTo:
    """`point_to(7)` stores a pointer to m-7.zip, validly signed, that says what `changes` say."""

    def point(serial: int, /, *, key: sp.SigningKey | None = None, **changes: Any) -> Pointer:
        archive = workshop.archive({"a": b"%d" % serial})
        statement = workshop.statement(archive, {"a": b"%d" % serial}, serial=serial)
        pointer = Pointer(
            **{
                **{name: getattr(statement, name) for name in ("name", "version", "parameters_version", "serial")},
                "created": CREATED,
                "package_name": f"m-{serial}.zip",
                "package_digest": statement.package_digest,
                **changes,
            }
        )
        workshop.storage.objects[OBJECT] = workshop.envelope(pointer.to_payload(), key)
        return pointer

    return point


@pytest.fixture
def follow(workshop: Any) -> Callable[..., bytes]:
    """`follow(minimum_serial=7)` verifies m@latest by such a policy, and returns what is in the package."""

    def verify(now: datetime = CREATED, **settings: Any) -> bytes:
        policy = sp.TrustPolicy(**{"name": "m", "keys": workshop.policy.keys, **settings})
        with sp.verify_package(POINTER, policy, storage=workshop.storage, now=now) as package:
            data: bytes = package.read("a")
        return data

    return verify


def test_a_good_pointer_leads_to_its_package(put_package: Any, point_to: Any, follow: Any) -> None:
    for serial in (6, 7):
        put_package(serial)
        point_to(serial)
        assert follow() == b"%d" % serial


def test_an_old_pointer_put_back(put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any) -> None:
    """It is refused below the policy's minimum serial, and above that accepted: only time bounds it there."""
    for serial in (6, 7):
        put_package(serial)
    point_to(6)
    with refused(sp.RolledBack, match="the pointer is older than allowed: expected serial 7 or later, found serial 6"):
        follow(minimum_serial=7)
    assert "m-6.zip" not in workshop.storage.served
    assert follow(minimum_serial=6) == b"6"


@pytest.mark.parametrize("late", [timedelta(days=30), timedelta(days=400)])
def test_an_old_pointer_put_back_late(put_package: Any, point_to: Any, follow: Any, refused: Any, late: Any) -> None:
    put_package(6, created=CREATED + timedelta(days=29))
    point_to(6)
    now = CREATED + late
    with refused(sp.Expired, match="the pointer is older than the policy allows"):
        follow(now, maximum_age=timedelta(days=30))
    point_to(6, expires=CREATED + timedelta(days=30))
    with refused(sp.Expired, match="the pointer has expired"):
        follow(now)
    assert follow(CREATED + timedelta(days=29, hours=23), maximum_age=timedelta(days=30)) == b"6"


def test_an_old_package_put_in_the_place_of_the_new(
    put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any
) -> None:
    put_package(6)
    put_package(7)
    point_to(7)
    for suffix in ("", ENVELOPE_SUFFIX):
        workshop.storage.objects["m-7.zip" + suffix] = workshop.storage.objects["m-6.zip" + suffix]
    with refused(sp.DigestMismatch, match=r"m-7\.zip is not the package that the pointer means"):
        follow()
    assert "m-7.zip" not in workshop.storage.served, "the package is not even fetched"


def test_a_package_s_envelope_in_the_place_of_a_pointer(
    put_package: Any, follow: Any, refused: Any, workshop: Any
) -> None:
    put_package(7)
    workshop.storage.objects[OBJECT] = workshop.storage.objects["m-7.zip" + ENVELOPE_SUFFIX]
    workshop.storage.objects[POINTER] = workshop.storage.objects["m-7.zip"]
    with refused(sp.MalformedPackage, match="of another kind: expected predicate type urn:signed-parameters:latest:v1"):
        follow()


def test_a_pointer_in_the_place_of_a_package_s_envelope(
    put_package: Any, point_to: Any, refused: Any, workshop: Any
) -> None:
    put_package(7)
    point_to(7)
    workshop.storage.objects["m-7.zip" + ENVELOPE_SUFFIX] = workshop.storage.objects[OBJECT]
    with refused(
        sp.MalformedPackage, match="of another kind: expected predicate type urn:signed-parameters:package:v1"
    ):
        sp.verify_package("m-7.zip", workshop.policy, storage=workshop.storage)


def test_a_pointer_of_another_model(put_package: Any, point_to: Any, follow: Any, refused: Any) -> None:
    put_package(7, name="other-7.zip", **{"parameters_version": "1"})
    point_to(7, name="other", package_name="other-7.zip")
    with refused(sp.NameMismatch, match="the pointer is another model's: expected m, found other"):
        follow()


def test_a_pointer_to_another_model_s_package(
    put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any
) -> None:
    archive = workshop.archive({"a": b"7"})
    other = workshop.statement(archive, {"a": b"7"}, name="other", serial=7)
    workshop.storage.objects |= {"m-7.zip": archive, "m-7.zip" + ENVELOPE_SUFFIX: workshop.envelope(other)}
    point_to(7)
    with refused(sp.NameMismatch, match="the package is another model's"):
        follow()


@pytest.mark.parametrize(
    "place",
    [
        *("../m-7.zip", "/m-7.zip", "a/m-7.zip", "a\\m-7.zip", "..", ".", "", ".m-7.zip", "-m.zip", "m-7.zip\n"),
        *("s3://elsewhere/m-7.zip", "file:///m-7.zip", "s3:m-7.zip", "m@latest", "%2e%2e%2fm-7.zip", "m-7.zip\0"),
    ],
)
def test_a_pointer_to_a_place_elsewhere(point_to: Any, follow: Any, refused: Any, workshop: Any, place: str) -> None:
    """Signed by a trusted key, which can be a mistake, or somebody's who may sign pointers only."""
    payload = point_to(7).to_payload()
    changed = payload.replace(b'"name":"m-7.zip"', b'"name":' + json.dumps(place).encode())
    assert changed != payload
    workshop.storage.objects[OBJECT] = workshop.envelope(changed)
    with refused(sp.MalformedPackage, match="the statement is not usable"):
        follow()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"serial": 8}, sp.NameMismatch),
        ({"version": "0.2.0"}, sp.NameMismatch),
        ({"parameters_version": "2"}, sp.NameMismatch),
        ({"package_digest": Digest(DigestAlgorithm.BLAKE3, "0" * 64)}, sp.DigestMismatch),
        ({"package_digest": Digest(DigestAlgorithm.SHA256, "0" * 64)}, sp.DigestMismatch),
    ],
)
def test_a_pointer_that_disagrees_with_its_package(
    put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any, changes: Any, error: Any
) -> None:
    put_package(7)
    point_to(7, **changes)
    with refused(error):
        follow()
    assert "m-7.zip" not in workshop.storage.served


def test_a_pointer_cannot_lift_a_package_over_the_minimum(
    put_package: Any, point_to: Any, follow: Any, refused: Any
) -> None:
    put_package(6)
    point_to(6, serial=7)
    with refused(sp.RolledBack, match="the package is older than allowed"):
        follow(minimum_serial=7)


def test_an_unsigned_pointer(put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any) -> None:
    put_package(7)
    workshop.storage.objects[OBJECT] = Envelope(point_to(7).to_payload(), ()).to_bytes()
    with refused(sp.UnknownKey, match="the pointer is not signed by a trusted key"):
        follow()


def test_a_forged_pointer(put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any) -> None:
    put_package(6)
    put_package(7)
    point_to(6, key=sp.SigningKey.generate())
    with refused(sp.UnknownKey):
        follow()
    point_to(7)
    good = Envelope.from_bytes(workshop.storage.objects[OBJECT])
    older = point_to(6).to_payload()
    workshop.storage.objects[OBJECT] = Envelope(older, good.signatures).to_bytes()
    with refused(sp.BadSignature, match="the signature by key"):
        follow()


def test_a_pointer_by_a_revoked_key(put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any) -> None:
    other = sp.SigningKey.generate()
    put_package(7)
    point_to(7, key=other)
    keys = [*workshop.policy.keys, other.verification_key]
    assert follow(keys=keys) == b"7"
    with refused(sp.RevokedKey, match="the pointer is signed by key"):
        follow(keys=keys, revoked_keys=[other.key_id])


def test_a_pointer_below_the_threshold(
    put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any
) -> None:
    approver = sp.SigningKey.generate()
    put_package(7)
    point_to(7)
    package = "m-7.zip" + ENVELOPE_SUFFIX
    objects = workshop.storage.objects
    objects[package] = Envelope.from_bytes(objects[package]).signed_by(approver).to_bytes()
    keys = [*workshop.policy.keys, approver.verification_key]
    with refused(sp.TooFewSignatures, match="the pointer is not signed by enough"):
        follow(keys=keys, threshold=2)
    objects[OBJECT] = Envelope.from_bytes(objects[OBJECT]).signed_by(approver).to_bytes()
    assert follow(keys=keys, threshold=2) == b"7"


def test_a_pointer_where_none_was_published(put_package: Any, follow: Any, refused: Any) -> None:
    put_package(7)
    with refused(sp.NotFound, match="signed-parameters latest"):
        follow()


def test_a_pointer_says_nothing_twice(
    put_package: Any, point_to: Any, follow: Any, refused: Any, workshop: Any
) -> None:
    put_package(7)
    payload = point_to(7).to_payload()
    for changed in (
        payload.replace(b'"serial":7', b'"serial":9,"serial":7'),
        payload.replace(b'"serial":7', b'"serial": 7'),
        payload.replace(b'"serial":7', b'"package_name":"m-6.zip","serial":7'),
        payload.replace(b'"serial":7', b'"extra":1,"serial":7'),
        payload.replace(b'"serial":7', b'"serial":7.0'),
    ):
        assert changed != payload
        workshop.storage.objects[OBJECT] = workshop.envelope(changed)
        with refused(sp.MalformedPackage):
            follow()


def test_a_pointer_of_100_megabytes(point_to: Any, follow: Any, refused: Any, workshop: Any) -> None:
    workshop.storage.objects[OBJECT] = bytes(100 << 20)
    workshop.storage.chunk_bytes = 1 << 20
    workshop.storage.tells_sizes = False
    with refused(sp.TooLarge):
        follow()
    assert workshop.storage.served[OBJECT] <= 2 << 20


def test_a_pointer_in_a_folder_leads_to_that_folder(
    put_package: Any, point_to: Any, refused: Any, workshop: Any
) -> None:
    put_package(7, name="a/m-7.zip")
    point_to(7)
    workshop.storage.objects["a/" + OBJECT] = workshop.storage.objects[OBJECT]
    with sp.verify_package("a/m@latest", workshop.policy, storage=workshop.storage) as package:
        assert package.read("a") == b"7"
    workshop.storage.objects["b/" + OBJECT] = workshop.storage.objects[OBJECT]
    with refused(sp.NotFound, match=r"b/m-7\.zip"):
        sp.verify_package("b/m@latest", workshop.policy, storage=workshop.storage)
