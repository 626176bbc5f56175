from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.checks import check_signatures, check_statement
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.envelope import Envelope, Signature
from signed_parameters.keys.algorithms import Algorithm

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FILES = {"a": b"1"}


def _policy(*keys: sp.SigningKey, **settings: Any) -> sp.TrustPolicy:
    return sp.TrustPolicy(name="m", keys=[key.verification_key for key in keys], **settings)


def _signed(*keys: sp.SigningKey) -> Envelope:
    envelope = Envelope(b"payload", ())
    for key in keys:
        envelope = envelope.signed_by(key)
    return envelope


def _claiming(key: sp.SigningKey, value: bytes) -> Envelope:
    return Envelope(b"payload", (Signature(key.key_id, value),))


def test_one_good_signature_is_enough(key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    stranger = sp.SigningKey.generate()
    assert check_signatures(_signed(stranger, key), _policy(hmac_key, key), NOW) == (key.key_id,)
    assert check_signatures(_signed(hmac_key), _policy(hmac_key, key), NOW) == (hmac_key.key_id,)


def test_a_bad_signature_does_not_hide_a_good_one(key: sp.SigningKey) -> None:
    good = _signed(key).signatures[0]
    envelope = Envelope(b"payload", (Signature(key.key_id, bytes(64)), good))
    assert check_signatures(envelope, _policy(key), NOW) == (key.key_id,)


def test_a_stranger_s_signature_is_refused(key: sp.SigningKey) -> None:
    with pytest.raises(sp.UnknownKey, match=key.key_id):
        check_signatures(_signed(sp.SigningKey.generate()), _policy(key), NOW)


def test_no_signature_is_refused(key: sp.SigningKey) -> None:
    with pytest.raises(sp.UnknownKey, match="found none"):
        check_signatures(_signed(), _policy(key), NOW)


def test_a_stranger_s_signature_under_a_trusted_id_is_refused(key: sp.SigningKey) -> None:
    stranger = sp.SigningKey.generate()
    with pytest.raises(sp.BadSignature):
        check_signatures(_claiming(key, stranger.sign(_signed().signed_bytes)), _policy(key), NOW)


def test_a_trusted_signature_under_a_stranger_s_id_is_refused(key: sp.SigningKey) -> None:
    with pytest.raises(sp.UnknownKey):
        check_signatures(_claiming(sp.SigningKey.generate(), key.sign(_signed().signed_bytes)), _policy(key), NOW)


def test_a_signature_of_the_payload_without_its_type_is_refused(key: sp.SigningKey) -> None:
    with pytest.raises(sp.BadSignature):
        check_signatures(_claiming(key, key.sign(b"payload")), _policy(key), NOW)


def test_an_hmac_made_with_the_public_key_is_refused(key: sp.SigningKey) -> None:
    forger = sp.SigningKey(Algorithm.HMAC_SHA512, key.verification_key.material)
    with pytest.raises(sp.UnknownKey):
        check_signatures(_signed(forger), _policy(key), NOW)
    with pytest.raises(sp.BadSignature):
        check_signatures(_claiming(key, forger.sign(_signed().signed_bytes)), _policy(key), NOW)


def test_an_hmac_key_used_as_an_ed25519_key_is_refused() -> None:
    trusted = sp.SigningKey(Algorithm.HMAC_SHA512, bytes(range(32)))
    forger = sp.SigningKey(Algorithm.ED25519, bytes(range(32)))
    with pytest.raises(sp.BadSignature):
        check_signatures(_claiming(trusted, forger.sign(_signed().signed_bytes)), _policy(trusted), NOW)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_signature_by_an_algorithm_that_is_not_allowed_is_refused(algorithm: Algorithm) -> None:
    key = sp.SigningKey.generate(algorithm)
    others = [other for other in Algorithm if other is not algorithm]
    with pytest.raises(sp.UnknownKey, match="a key of an allowed algorithm"):
        check_signatures(_signed(key), _policy(key, signature_algorithms=others), NOW)


def test_a_revoked_key_is_refused(key: sp.SigningKey) -> None:
    with pytest.raises(sp.RevokedKey, match=key.key_id):
        check_signatures(_signed(key), _policy(key, revoked_keys=[key.key_id]), NOW)


def test_a_revoked_key_beside_a_good_one_does_no_harm(key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    policy = _policy(key, hmac_key, revoked_keys=[key.key_id])
    assert check_signatures(_signed(key, hmac_key), policy, NOW) == (hmac_key.key_id,)


def test_too_many_signatures_are_refused_before_any_is_tried(key: sp.SigningKey) -> None:
    with pytest.raises(sp.MalformedPackage, match="expected at most 16, found 17"):
        check_signatures(_signed(*[key] * 17), _policy(key), NOW)
    assert check_signatures(_signed(*[key] * 16), _policy(key), NOW) == (key.key_id,)


def test_a_threshold_counts_distinct_keys(key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    policy = _policy(key, hmac_key, threshold=2)
    assert check_signatures(_signed(key, hmac_key), policy, NOW) == (key.key_id, hmac_key.key_id)
    for envelope in (_signed(key), _signed(key, key), _signed(key, sp.SigningKey.generate())):
        with pytest.raises(sp.TooFewSignatures, match=f"expected signatures by 2 of .*found 1, by {key.key_id}"):
            check_signatures(envelope, policy, NOW)


def test_a_forged_second_signature_does_not_reach_the_threshold(key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    envelope = Envelope(b"payload", (*_signed(key).signatures, Signature(hmac_key.key_id, bytes(64))))
    with pytest.raises(sp.BadSignature, match=hmac_key.key_id):
        check_signatures(envelope, _policy(key, hmac_key, threshold=2), NOW)


def test_a_revoked_second_signature_does_not_reach_the_threshold(key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    policy = _policy(key, hmac_key, sp.SigningKey.generate(), threshold=2, revoked_keys=[hmac_key.key_id])
    with pytest.raises(sp.RevokedKey, match=hmac_key.key_id):
        check_signatures(_signed(key, hmac_key), policy, NOW)


@pytest.mark.parametrize("status", ["active", "retired"])
@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        (None, None, True),
        (NOW, NOW + timedelta(seconds=1), True),
        (NOW + timedelta(seconds=1), None, False),
        (None, NOW, False),
    ],
)
def test_a_key_counts_in_its_time_only(
    key: sp.SigningKey, status: str, before: datetime | None, after: datetime | None, counts: bool
) -> None:
    trusted = sp.TrustedKey(key.verification_key, before, after, sp.KeyStatus(status))
    policy = sp.TrustPolicy(name="m", keys=sp.Keyring((trusted,)))
    if counts:
        assert check_signatures(_signed(key), policy, NOW) == (key.key_id,)
    else:
        with pytest.raises(sp.UnknownKey, match=f"found one by {key.key_id}, which counts .* UTC only"):
            check_signatures(_signed(key), policy, NOW)


def test_a_key_that_is_revoked_in_the_keyring_is_refused(key: sp.SigningKey) -> None:
    keyring = sp.Keyring((sp.TrustedKey(key.verification_key, status=sp.KeyStatus.REVOKED),))
    with pytest.raises(sp.RevokedKey, match=key.key_id):
        check_signatures(_signed(key), sp.TrustPolicy(name="m", keys=keyring), NOW)


@pytest.mark.parametrize(
    ("settings", "changes", "error", "message"),
    [
        ({}, {"name": "other"}, sp.NameMismatch, "expected m, found other"),
        ({}, {"name": "M"}, sp.NameMismatch, "expected m, found M"),
        ({"version": ">=0.2"}, {}, sp.NameMismatch, "expected >=0.2, found 0.1.0"),
        ({"version": ">=0.1"}, {"version": "not-pep-440"}, sp.NameMismatch, "found not-pep-440"),
        ({"parameters_version": "2"}, {}, sp.NameMismatch, "expected parameters version 2, found 1"),
        ({"parameters_version": ""}, {}, sp.NameMismatch, "expected parameters version"),
        ({"minimum_serial": 2}, {}, sp.RolledBack, "expected serial 2 or later, found serial 1"),
        ({}, {"expires": NOW}, sp.Expired, "found 2026-11-22 00:00 UTC"),
        ({}, {"expires": NOW - timedelta(seconds=1)}, sp.Expired, "expected a time before"),
        ({"digest_algorithms": [DigestAlgorithm.SHA256]}, {}, sp.MalformedPackage, "expected sha256, found blake3"),
        ({"digest_algorithms": []}, {}, sp.MalformedPackage, "found blake3"),
        ({"limits": sp.Limits(package_bytes=99)}, {"package_size": 100}, sp.TooLarge, "at most 99 bytes"),
    ],
)
def test_a_statement_that_the_policy_does_not_allow_is_refused(
    workshop: Any,
    key: sp.SigningKey,
    settings: dict[str, Any],
    changes: dict[str, Any],
    error: type[sp.SignedParametersError],
    message: str,
) -> None:
    statement = workshop.statement(workshop.archive(FILES), FILES, **changes)
    with pytest.raises(error, match=message):
        check_statement(statement, _policy(key, **settings), NOW)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({"version": ">=0.1,<0.2"}, {"version": "0.1.9"}),
        ({"version": ">=0.1"}, {"version": "0.2.0rc1"}),
        ({"minimum_serial": 1}, {}),
        ({"parameters_version": "1"}, {}),
        ({}, {"expires": NOW + timedelta(seconds=1)}),
        ({"limits": sp.Limits(package_bytes=100)}, {"package_size": 100}),
    ],
)
def test_a_statement_that_the_policy_allows_passes(
    workshop: Any, key: sp.SigningKey, settings: dict[str, Any], changes: dict[str, Any]
) -> None:
    statement = workshop.statement(workshop.archive(FILES), FILES, **changes)
    check_statement(statement, _policy(key, **settings), NOW)


def test_a_revoked_package_is_refused(workshop: Any, key: sp.SigningKey) -> None:
    statement = workshop.statement(workshop.archive(FILES), FILES)
    with pytest.raises(sp.RevokedDigest):
        check_statement(statement, _policy(key, revoked_digests=[str(statement.package_digest)]), NOW)
