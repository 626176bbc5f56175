"""The keyring in memory: a key's way through its life, which has no way back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.checks import check_signatures
from signed_parameters.envelope import Envelope
from signed_parameters.keys.keyring import Keyring, KeyStatus, TrustedKey
from signed_parameters.keys.references import KeyReference

NOW = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def keyring(key: sp.SigningKey) -> Keyring:
    return Keyring().with_key(key.verification_key, comment="trainer")


def _counts(keyring: Keyring, key: sp.SigningKey, now: datetime) -> bool:
    """Tell whether a signature by the key is taken."""
    policy = sp.TrustPolicy(name="m", keys=keyring)
    try:
        return check_signatures(Envelope(b"payload", ()).signed_by(key), policy, now) == (key.key_id,)
    except sp.VerificationError:
        return False


def test_a_new_key_is_active_and_counts(keyring: Keyring, key: sp.SigningKey) -> None:
    found = keyring.find(key.key_id)
    assert (found.key, found.status, found.comment) == (key.verification_key, KeyStatus.ACTIVE, "trainer")
    assert _counts(keyring, key, NOW)
    keyring.check_can_sign(key, NOW)


def test_a_keyring_is_never_changed(keyring: Keyring, key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    before = tuple(keyring)
    keyring.with_key(hmac_key.verification_key)
    keyring.retired(key.key_id, NOW)
    keyring.revoked(key.key_id)
    assert tuple(keyring) == before


def test_keys_keep_their_order(keyring: Keyring, key: sp.SigningKey) -> None:
    others = [sp.SigningKey.generate() for _ in range(3)]
    for other in others:
        keyring = keyring.with_key(other.verification_key)
    keyring = keyring.retired(others[1].key_id, NOW).revoked(key.key_id)
    assert [entry.key_id for entry in keyring] == [key.key_id, *(other.key_id for other in others)]


def test_a_retired_key_counts_until_its_time_is_over_and_signs_no_more(keyring: Keyring, key: sp.SigningKey) -> None:
    keyring = keyring.retired(key.key_id, NOW + DAY)
    assert _counts(keyring, key, NOW)
    assert not _counts(keyring, key, NOW + DAY)
    with pytest.raises(sp.ConfigurationError, match=f"{key.key_id} is retired, .* expected .* there is none"):
        keyring.check_can_sign(key, NOW)


def test_a_revoked_key_counts_no_more(keyring: Keyring, key: sp.SigningKey) -> None:
    keyring = keyring.revoked(key.key_id)
    assert not _counts(keyring, key, NOW)
    with pytest.raises(sp.ConfigurationError, match="is revoked, and is not to sign any more"):
        keyring.check_can_sign(key, NOW)
    assert keyring.revoked(key.key_id) == keyring


def test_a_revoked_key_has_no_way_back(keyring: Keyring, key: sp.SigningKey) -> None:
    keyring = keyring.revoked(key.key_id)
    with pytest.raises(sp.ConfigurationError, match="in the keyring already, and is revoked"):
        keyring.with_key(key.verification_key)
    with pytest.raises(sp.ConfigurationError, match=r"is revoked: expected an active key. It stays revoked"):
        keyring.retired(key.key_id, NOW + DAY)


def test_a_retired_key_has_no_way_back(keyring: Keyring, key: sp.SigningKey) -> None:
    keyring = keyring.retired(key.key_id, NOW + DAY)
    with pytest.raises(sp.ConfigurationError, match="in the keyring already, and is retired"):
        keyring.with_key(key.verification_key)
    with pytest.raises(sp.ConfigurationError, match="is retired already, and its time is not prolonged"):
        keyring.retired(key.key_id, NOW + 2 * DAY)
    assert keyring.retired(key.key_id, NOW).find(key.key_id).not_after == NOW


def test_retiring_prolongs_nothing(key: sp.SigningKey) -> None:
    keyring = Keyring().with_key(key.verification_key, not_after=NOW)
    assert keyring.retired(key.key_id, NOW + DAY).find(key.key_id).not_after == NOW


def test_revoking_leaves_the_rest_of_an_entry(key: sp.SigningKey) -> None:
    keyring = Keyring().with_key(key.verification_key, not_before=NOW, not_after=NOW + DAY, comment="trainer")
    entry = keyring.find(key.key_id)
    assert keyring.revoked(key.key_id).find(key.key_id) == replace(entry, status=KeyStatus.REVOKED)


def test_a_key_does_not_sign_outside_its_time(key: sp.SigningKey) -> None:
    keyring = Keyring().with_key(key.verification_key, not_before=NOW, not_after=NOW + DAY)
    keyring.check_can_sign(key, NOW)
    expected = "do not count now: expected a time from 2027-01-01T00:00:00Z until 2027-01-02T00:00:00Z"
    for time in (NOW - DAY, NOW + DAY):
        with pytest.raises(sp.ConfigurationError, match=expected):
            keyring.check_can_sign(key, time)


def test_a_stranger_does_not_sign(keyring: Keyring, key: sp.SigningKey) -> None:
    stranger = sp.SigningKey.generate()
    with pytest.raises(sp.ConfigurationError, match=f"{stranger.key_id} is not in the keyring: expected {key.key_id}"):
        keyring.check_can_sign(stranger, NOW)


@pytest.mark.parametrize("change", [lambda k: k.find("x"), lambda k: k.retired("x", NOW), lambda k: k.revoked("x")])
def test_a_key_that_is_not_there_is_named(keyring: Keyring, key: sp.SigningKey, change: Any) -> None:
    with pytest.raises(sp.ConfigurationError, match=f"key x is not in the keyring: expected {key.key_id}"):
        change(keyring)
    with pytest.raises(sp.ConfigurationError, match="expected a key, and it has none"):
        change(Keyring())


def test_a_key_stands_once(keyring: Keyring, key: sp.SigningKey) -> None:
    with pytest.raises(sp.ConfigurationError, match="in the keyring already, and is active"):
        keyring.with_key(key.verification_key)
    with pytest.raises(sp.ConfigurationError, match="expected each key once"):
        Keyring((*keyring, TrustedKey(key.verification_key, status=KeyStatus.REVOKED)))


@pytest.mark.parametrize("comment", ["x" * 201, "two\nlines", "\x1b[31m", 7])
def test_a_comment_is_one_line(key: sp.SigningKey, comment: Any) -> None:
    with pytest.raises(sp.ConfigurationError, match="one line of at most 200 characters"):
        Keyring().with_key(key.verification_key, comment=comment)


def test_a_key_cannot_end_before_it_begins(key: sp.SigningKey) -> None:
    keyring = Keyring().with_key(key.verification_key, not_before=NOW + DAY)
    with pytest.raises(sp.ConfigurationError, match="until before it begins"):
        keyring.retired(key.key_id, NOW)


def test_an_hmac_key_counts_by_reference(hmac_key: sp.SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMAC_SECRET", str(hmac_key.verification_key))
    reference = KeyReference("env:HMAC_SECRET", hmac_key.key_id)
    assert _counts(Keyring().with_key(reference.looked_up()), hmac_key, NOW)
    with pytest.raises(sp.ConfigurationError, match="was not looked up"):
        _counts(Keyring().with_key(reference), hmac_key, NOW)
    Keyring().with_key(reference).check_can_sign(hmac_key, NOW)
