"""Packages signed by the wrong key, for the wrong model, at the wrong time; and envelopes that are no envelopes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.envelope import Envelope, Signature
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.statement import ENVELOPE_SUFFIX

FILES = {"a": b"1"}
NAME = "package.zip"
MEBIBYTE = 1 << 20


@pytest.fixture
def forged(workshop: Any) -> Callable[..., None]:
    """`forged(key, key_id)` signs a good package with `key`, and claims `key_id`."""

    def forge(key: sp.SigningKey, key_id: str) -> None:
        archive = workshop.archive(FILES)
        unsigned = Envelope(workshop.statement(archive, FILES).to_payload(), ())
        signature = Signature(key_id, key.sign(unsigned.signed_bytes))
        workshop.put(archive, Envelope(unsigned.payload, (signature,)).to_bytes())

    return forge


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_another_key(workshop: Any, forged: Any, refused: Any, algorithm: Algorithm) -> None:
    stranger = sp.SigningKey.generate(algorithm)
    forged(stranger, stranger.key_id)
    with refused(sp.UnknownKey, match=f"expected a signature by {workshop.key.key_id}, found {stranger.key_id}"):
        workshop.verify()


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_another_key_under_the_trusted_key_s_id(workshop: Any, forged: Any, refused: Any, algorithm: Algorithm) -> None:
    forged(sp.SigningKey.generate(algorithm), workshop.key.key_id)
    with refused(sp.BadSignature):
        workshop.verify()


@pytest.mark.parametrize("claims_the_key", [True, False])
def test_an_hmac_made_with_the_public_key_as_secret(
    workshop: Any, forged: Any, refused: Any, claims_the_key: bool
) -> None:
    forger = sp.SigningKey(Algorithm.HMAC_SHA512, workshop.key.verification_key.material)
    forged(forger, workshop.key.key_id if claims_the_key else forger.key_id)
    with refused(sp.BadSignature if claims_the_key else sp.UnknownKey):
        workshop.verify()


def test_the_wrong_algorithm_for_the_key(workshop: Any, forged: Any, refused: Any) -> None:
    trusted = sp.SigningKey(Algorithm.HMAC_SHA512, bytes(range(32)))
    forged(sp.SigningKey(Algorithm.ED25519, bytes(range(32))), trusted.key_id)
    with refused(sp.BadSignature):
        workshop.verify(sp.TrustPolicy(name="m", keys=[trusted.verification_key]))


def test_a_trusted_key_by_an_algorithm_that_the_policy_does_not_allow(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES)
    keys = workshop.policy.keys
    with refused(sp.UnknownKey):
        workshop.verify(sp.TrustPolicy(name="m", keys=keys, signature_algorithms=[Algorithm.HMAC_SHA512]))


def test_a_revoked_key(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES)
    with refused(sp.RevokedKey):
        workshop.verify(sp.TrustPolicy(name="m", keys=workshop.policy.keys, revoked_keys=[workshop.key.key_id]))


def test_no_signature(workshop: Any, refused: Any) -> None:
    archive = workshop.archive(FILES)
    workshop.put(archive, Envelope(workshop.statement(archive, FILES).to_payload(), ()).to_bytes())
    with refused(sp.UnknownKey, match="found none"):
        workshop.verify()


def test_a_package_that_was_never_signed(workshop: Any, refused: Any) -> None:
    workshop.storage.objects = {NAME: workshop.archive(FILES)}
    with refused(sp.NotFound, match=r"there is no envelope memory://package.zip.dsse.json.*never signed"):
        workshop.verify()


def test_the_signature_of_another_statement(workshop: Any, refused: Any) -> None:
    archive = workshop.archive(FILES)
    good = Envelope.from_bytes(workshop.envelope(workshop.statement(archive, FILES, serial=1)))
    newer = workshop.statement(archive, FILES, serial=2).to_payload()
    workshop.put(archive, Envelope(newer, good.signatures).to_bytes())
    with refused(sp.BadSignature):
        workshop.verify()


@pytest.mark.parametrize(
    ("changes", "settings", "error"),
    [
        ({"name": "other_model"}, {}, sp.NameMismatch),
        ({"parameters_version": "2026_11_20"}, {"parameters_version": "2026_11_21"}, sp.NameMismatch),
        ({"version": "0.2.0"}, {"version": "<0.2"}, sp.NameMismatch),
        ({"serial": 6}, {"minimum_serial": 7}, sp.RolledBack),
        ({"serial": 0}, {"minimum_serial": 1}, sp.RolledBack),
        ({"package_size": 1 << 50}, {}, sp.TooLarge),
    ],
    ids=["another model", "other parameters", "another version", "older serial", "no serial", "a pebibyte"],
)
def test_a_package_in_the_place_of_another(
    workshop: Any,
    refused: Any,
    changes: dict[str, Any],
    settings: dict[str, Any],
    error: type[sp.SignedParametersError],
) -> None:
    workshop.put_signed(FILES, **changes)
    with refused(error):
        workshop.verify(sp.TrustPolicy(name="m", keys=workshop.policy.keys, **settings))
    assert NAME not in workshop.storage.served, "the package is not even fetched"


def test_another_package_s_envelope(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES)
    envelope = workshop.storage.objects[NAME + ENVELOPE_SUFFIX]
    workshop.put(workshop.archive({"a": b"2"}), envelope)
    with refused(sp.DigestMismatch):
        workshop.verify()


def test_an_expired_statement(workshop: Any, refused: Any) -> None:
    expires = datetime(2026, 12, 1, tzinfo=UTC)
    workshop.put_signed(FILES, expires=expires)
    workshop.verify(now=expires - timedelta(seconds=1)).close()
    for late in (timedelta(0), timedelta(days=400)):
        with refused(sp.Expired, match="expected a time before 2026-12-01 00:00 UTC"):
            workshop.verify(now=expires + late)


def test_an_expired_statement_by_the_clock(workshop: Any, refused: Any) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    workshop.put_signed(FILES, created=now - timedelta(days=2), expires=now - timedelta(days=1))
    with refused(sp.Expired):
        workshop.verify()


def test_a_revoked_package(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES)
    digest = str(workshop.statement(workshop.archive(FILES), FILES).package_digest)
    with refused(sp.RevokedDigest):
        workshop.verify(sp.TrustPolicy(name="m", keys=workshop.policy.keys, revoked_digests=[digest]))


def test_an_envelope_of_100_megabytes_on_this_machine(make_package: Any, policy: sp.TrustPolicy, refused: Any) -> None:
    path = make_package(FILES)
    with Path(f"{path}{ENVELOPE_SUFFIX}").open("r+b") as file:
        file.truncate(100 * MEBIBYTE)
    with refused(sp.TooLarge, match="found 104857600 bytes"):
        sp.verify_package(path, policy)


@pytest.mark.parametrize("tells_sizes", [True, False])
def test_an_envelope_of_100_megabytes_over_a_network(workshop: Any, refused: Any, tells_sizes: bool) -> None:
    workshop.put_signed(FILES)
    workshop.storage.objects[NAME + ENVELOPE_SUFFIX] = bytes(100 * MEBIBYTE)
    workshop.storage.chunk_bytes = MEBIBYTE
    workshop.storage.tells_sizes = tells_sizes
    with refused(sp.TooLarge):
        workshop.verify()
    assert workshop.storage.served.get(NAME + ENVELOPE_SUFFIX, 0) <= 2 * MEBIBYTE


@pytest.mark.parametrize("opening", [b"[", b'{"payload":', b'{"signatures":['])
def test_a_deeply_nested_envelope(workshop: Any, refused: Any, opening: bytes) -> None:
    workshop.put(b"", opening * 60_000)
    with refused(sp.MalformedPackage, match="cannot be read"):
        workshop.verify()


def test_a_deeply_nested_statement_signed_by_a_trusted_key(workshop: Any, refused: Any) -> None:
    workshop.put(b"", workshop.envelope(b'{"predicate":' * 50_000))
    with refused(sp.MalformedPackage, match="cannot be read"):
        workshop.verify()


def test_an_envelope_with_the_same_key_twice(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES)
    good = workshop.storage.objects[NAME + ENVELOPE_SUFFIX]
    fields = json.loads(good)
    for name, value in fields.items():
        addition = json.dumps({name: value}, sort_keys=True, separators=(",", ":"))[1:-1].encode()
        for data in (b"{" + addition + b"," + good[1:], good[:-2] + b"," + addition + b"}\n"):
            workshop.storage.objects[NAME + ENVELOPE_SUFFIX] = data
            with refused(sp.MalformedPackage, match="one byte form"):
                workshop.verify()


def test_a_statement_with_the_same_key_twice_signed_by_a_trusted_key(workshop: Any, refused: Any) -> None:
    archive = workshop.archive(FILES)
    payload = workshop.statement(archive, FILES).to_payload()
    workshop.put(archive, workshop.envelope(payload.replace(b'"serial":1', b'"serial":9,"serial":1')))
    with refused(sp.MalformedPackage, match="one byte form"):
        workshop.verify()


def test_a_time_without_a_zone_is_refused(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES, expires=datetime(2026, 12, 1, tzinfo=UTC))
    with refused(sp.ConfigurationError, match="expected a time with a time zone"):
        workshop.verify(now=datetime(2026, 11, 1))
