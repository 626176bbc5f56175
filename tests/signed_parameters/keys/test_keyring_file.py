"""Keyring files: what may stand in them, and that no edit is lost or undone."""

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters.keys.keyring import Keyring, KeyStatus
from signed_parameters.keys.keyring_file import MAXIMUM_BYTES, TYPE
from signed_parameters.keys.references import KeyReference

NOW = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def keyring(key: sp.SigningKey) -> Keyring:
    return Keyring().with_key(key.verification_key, comment="trainer")


def _write(path: Path, *entries: dict[str, Any], **members: Any) -> None:
    path.write_text(json.dumps({"type": TYPE, "keys": list(entries)} | members))


def _entry(signer: sp.SigningKey, **changes: Any) -> dict[str, Any]:
    fields = {"key_id": signer.key_id, "algorithm": "ed25519", "key": str(signer.verification_key), "status": "active"}
    return fields | changes


def test_a_keyring_is_read_as_it_was_written(key: sp.SigningKey, path: Path) -> None:
    others = [sp.SigningKey.generate().verification_key for _ in range(3)]
    keyring = (
        Keyring()
        .with_key(key.verification_key, not_before=NOW, not_after=NOW + DAY, comment="trainer, l'été")
        .with_key(others[0])
        .with_key(others[1])
        .with_key(others[2], not_after=NOW)
        .revoked(others[0].key_id)
        .retired(others[1].key_id, NOW)
    )
    keyring.save(path)
    assert Keyring.load(path) == keyring
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_form_of_a_keyring(key: sp.SigningKey, path: Path) -> None:
    Keyring().with_key(key.verification_key, not_after=NOW, comment="trainer").save(path)
    entry = _entry(key, not_after="2027-01-01T00:00:00Z", comment="trainer")
    assert json.loads(path.read_text()) == {"type": TYPE, "keys": [entry]}


def test_a_policy_takes_a_keyring_from_its_file(key: sp.SigningKey, keyring: Keyring, path: Path) -> None:
    keyring.save(path)
    policy = sp.TrustPolicy(name="m", keys=Keyring.load(path))
    assert [trusted.key_id for trusted in policy.trusted_keys] == [key.key_id]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comments": "x"}, "keys.0 has what is not known: .* found comments. Mind the spelling"),
        ({"status": "trusted"}, "the status of key .* is unknown"),
        ({"status": "Active"}, "the status of key .* is unknown"),
        ({"status": None}, "keys.0.status is not usable: expected a text"),
        ({"key_id": "0" * 32}, "keys.0: key_id is not the key's"),
        ({"algorithm": "hmac-sha512"}, "keys.0: algorithm is not the key's: expected ed25519"),
        ({"algorithm": "rsa"}, "algorithm is not the key's"),
        ({"key": "ed25519:AAAA"}, "wrong length"),
        ({"key": "ed25519:" + "A" * 43}, "is no Ed25519 public key: .* small order"),
        ({"key": ["ed25519"]}, "keys.0.key is not usable: expected a text"),
        ({"not_before": "2027-1-1T00:00:00Z"}, "keys.0: not_before is not usable: expected a time in UTC"),
        ({"not_before": "2027-01-01T00:00:00+01:00"}, "not_before is not usable"),
        ({"not_after": "2027-02-30T00:00:00Z"}, "not_after is not usable"),
        ({"not_after": 1798761600}, "not_after is not usable"),
        ({"not_after": True}, "not_after is not usable"),
        ({"not_before": "2027-01-02T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"}, "until before it begins"),
        ({"comment": "two\nlines"}, "one line"),
        ({"comment": "\ud800"}, "one line"),
        ({"comment": None}, "comment is not usable"),
    ],
)
def test_an_entry_that_is_not_usable_is_refused(
    key: sp.SigningKey, path: Path, changes: dict[str, Any], message: str
) -> None:
    _write(path, _entry(key, **changes))
    with pytest.raises(sp.ConfigurationError, match=message) as caught:
        Keyring.load(path)
    assert str(caught.value).startswith(f"keyring {path}: ")


@pytest.mark.parametrize("name", ["key_id", "algorithm", "key", "status"])
def test_an_entry_is_complete(key: sp.SigningKey, path: Path, name: str) -> None:
    entry = _entry(key)
    del entry[name]
    _write(path, entry)
    with pytest.raises(sp.ConfigurationError, match=f"keys.0 is not complete: .* found no {name}"):
        Keyring.load(path)


def test_times_may_be_left_out_or_be_null(key: sp.SigningKey, path: Path) -> None:
    _write(path, _entry(key, not_before=None, not_after=None))
    found = Keyring.load(path).find(key.key_id)
    assert (found.not_before, found.not_after) == (None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON"),
        (b"[" * 500_000, "expected JSON"),
        (b"\xff\xfe{}", "expected JSON"),
        (b"\xef\xbb\xbf{}", "expected JSON"),
        (b'{"type": ' + b"1" * 5000 + b"}", "expected JSON"),
        (b"[]", "its top is not usable"),
        (b"{}", "found no keys, type"),
        (b'{"type": "urn:signed-parameters:keyring:v2", "keys": []}', "is of another type: expected .*:v1, found .*v2"),
        (b'{"type": 1, "keys": []}', "is of another type"),
        (json.dumps({"type": TYPE, "keys": {}}).encode(), "keys is not usable: expected a list"),
        (json.dumps({"type": TYPE, "keys": [7]}).encode(), "keys.0 is not usable"),
        (json.dumps({"type": TYPE, "keys": [], "version": 1}).encode(), "found version"),
        (b" " * (MAXIMUM_BYTES + 1), "is too large"),
    ],
)
def test_what_is_no_keyring_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(sp.ConfigurationError, match=message):
        Keyring.load(path)


def test_a_member_that_stands_twice_is_refused(key: sp.SigningKey, path: Path) -> None:
    """Else a reviewer could read "revoked" where the program reads "active"."""
    text = json.dumps({"type": TYPE, "keys": [_entry(key, status="revoked")]})
    path.write_text(text.replace('"status"', '"status": "revoked", "status"'))
    with pytest.raises(sp.ConfigurationError, match="status is there twice"):
        Keyring.load(path)


def test_a_key_stands_once_in_a_file(key: sp.SigningKey, path: Path) -> None:
    _write(path, _entry(key, status="revoked"), _entry(key))
    with pytest.raises(sp.ConfigurationError, match="expected each key once"):
        Keyring.load(path)


@pytest.mark.parametrize("name", ["missing.json", "no folder/keyring.json", ".", "a\0b", "x" * 5000])
def test_a_keyring_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(sp.ConfigurationError, match="cannot be read"):
        Keyring.load(tmp_path / name)


@pytest.mark.parametrize("name", ["no folder/keyring.json", ".", "a\0b", "x" * 5000])
def test_a_keyring_that_cannot_be_written(tmp_path: Path, keyring: Keyring, name: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"cannot be written|cannot be read"):
        keyring.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([TYPE, "active", "env:X", "ed25519:AAAA"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "keys", "key_id", "algorithm", "key", "status", "not_after"]) | st.text(), inner
        )
    ),
    max_leaves=12,
)


@given(entries=JSON)
def test_any_json_is_a_keyring_or_refused(tmp_path: Path, entries: Any) -> None:
    path = tmp_path / "keyring.json"
    path.write_text(json.dumps({"type": TYPE, "keys": entries}))
    try:
        keyring = Keyring.load(path, secrets=False)
    except sp.ConfigurationError as error:
        told = str(error)
    else:
        assert [key.key_id for key in keyring] == [entry["key_id"] for entry in entries]
        return
    assert told.startswith(f"keyring {path}: ")


# HMAC


def _hmac_entry(signer: sp.SigningKey, source: str, **changes: Any) -> dict[str, Any]:
    fields = {"key_id": signer.key_id, "algorithm": "hmac-sha512", "key": source, "status": "active"}
    return fields | changes


def test_a_secret_in_clear_is_refused_and_not_shown(hmac_key: sp.SigningKey, path: Path) -> None:
    _write(path, _hmac_entry(hmac_key, str(hmac_key.verification_key)))
    with pytest.raises(sp.ConfigurationError, match="stands there in clear: expected env:NAME or file:PATH") as caught:
        Keyring.load(path)
    assert str(hmac_key.verification_key)[12:40] not in str(caught.value)


def test_a_secret_is_never_written(hmac_key: sp.SigningKey, path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="would stand in a public file"):
        Keyring().with_key(hmac_key.verification_key).save(path)
    assert list(path.parent.iterdir()) == []


def test_a_secret_is_looked_up_where_the_keyring_says(
    hmac_key: sp.SigningKey, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text(str(hmac_key.verification_key))
    (tmp_path / "secret.txt").chmod(0o600)
    Keyring().with_key(KeyReference("file:secret.txt", hmac_key.key_id)).save(path)
    monkeypatch.chdir("/")  # relative to the keyring, not to where the command runs
    keyring = Keyring.load(path)
    assert keyring.find(hmac_key.key_id).key.signature_holds(b"message", hmac_key.sign(b"message"))
    keyring.retired(hmac_key.key_id, NOW).save(path)
    assert "file:secret.txt" in path.read_text()
    assert str(hmac_key.verification_key)[12:40] not in path.read_text()


def test_a_missing_secret_is_told_at_once(hmac_key: sp.SigningKey, path: Path) -> None:
    _write(path, _hmac_entry(hmac_key, "env:NO_SUCH_SECRET"))
    with pytest.raises(sp.ConfigurationError, match=f"keyring {path}: .*Set NO_SUCH_SECRET"):
        Keyring.load(path)


@pytest.mark.parametrize("changes", [{"status": "revoked"}, {"not_after": "2001-01-01T00:00:00Z"}])
def test_the_secret_of_a_key_that_counts_no_more_may_be_gone(
    hmac_key: sp.SigningKey, path: Path, changes: dict[str, Any]
) -> None:
    _write(path, _hmac_entry(hmac_key, "env:NO_SUCH_SECRET", **changes))
    assert len(Keyring.load(path)) == 1


def test_a_keyring_can_be_changed_without_its_secrets(hmac_key: sp.SigningKey, path: Path) -> None:
    _write(path, _hmac_entry(hmac_key, "env:NO_SUCH_SECRET"))
    Keyring.load(path, secrets=False).revoked(hmac_key.key_id).save(path)
    assert Keyring.load(path).find(hmac_key.key_id).status is KeyStatus.REVOKED


@pytest.mark.parametrize("changes", [{"algorithm": "ed25519"}, {"key": "env:"}, {"key_id": "x"}])
def test_a_reference_that_is_not_usable_is_refused(
    hmac_key: sp.SigningKey, path: Path, changes: dict[str, Any]
) -> None:
    _write(path, _hmac_entry(hmac_key, "env:NO_SUCH_SECRET", **changes))
    with pytest.raises(sp.ConfigurationError, match=r"keys.0"):
        Keyring.load(path, secrets=False)


# edits


def test_an_edit_by_somebody_else_is_not_lost(keyring: Keyring, key: sp.SigningKey, path: Path) -> None:
    keyring.save(path)
    mine, yours = Keyring.load(path), Keyring.load(path)
    yours.with_key(sp.SigningKey.generate().verification_key, comment="yours").save(path)
    with pytest.raises(sp.ConfigurationError, match=r"than when it was read.* Read it again"):
        mine.with_key(sp.SigningKey.generate().verification_key, comment="mine").save(path)
    assert [entry.comment for entry in Keyring.load(path)] == ["trainer", "yours"]


def test_a_revocation_by_somebody_else_is_not_undone(keyring: Keyring, key: sp.SigningKey, path: Path) -> None:
    keyring.save(path)
    mine = Keyring.load(path)
    Keyring.load(path).revoked(key.key_id).save(path)
    other = sp.SigningKey.generate().verification_key
    for change in (mine, mine.with_key(other), mine.retired(key.key_id, NOW), Keyring().with_key(other), Keyring()):
        with pytest.raises(sp.ConfigurationError, match=f"of key {key.key_id} than when it was read.*found it revoked"):
            change.save(path)
    assert Keyring.load(path).find(key.key_id).status is KeyStatus.REVOKED


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: replace(entry, not_after=entry.not_after + DAY),
        lambda entry: replace(entry, not_after=None),
        lambda entry: replace(entry, status=KeyStatus.ACTIVE),
        lambda entry: replace(entry, not_before=None),
        lambda entry: replace(entry, comment="yours"),
        lambda entry: replace(entry, key=sp.SigningKey.generate().verification_key),
    ],
)
def test_nothing_of_an_entry_goes_back(key: sp.SigningKey, path: Path, change: Callable[[Any], Any]) -> None:
    keyring = Keyring().with_key(key.verification_key, not_before=NOW).retired(key.key_id, NOW + DAY)
    keyring.save(path)
    with pytest.raises(sp.ConfigurationError, match="found it retired until 2027-01-02T00:00:00Z"):
        Keyring((change(keyring.find(key.key_id)),)).save(path)
    assert Keyring.load(path) == keyring


def test_a_time_that_was_edited_by_hand_is_not_lost(key: sp.SigningKey, path: Path) -> None:
    Keyring().with_key(key.verification_key, not_after=NOW).save(path)
    mine = Keyring.load(path)
    _write(path, _entry(key, not_after="2028-01-01T00:00:00Z"))
    with pytest.raises(sp.ConfigurationError, match="found it active until 2028-01-01T00:00:00Z"):
        mine.with_key(sp.SigningKey.generate().verification_key).save(path)


def test_each_step_of_a_life_is_saved(keyring: Keyring, key: sp.SigningKey, path: Path) -> None:
    keyring.save(path)
    shorter = keyring.retired(key.key_id, NOW + DAY).retired(key.key_id, NOW)
    for step in (keyring, keyring.retired(key.key_id, NOW + DAY), shorter, shorter.revoked(key.key_id)):
        step.save(path)
    assert Keyring.load(path).find(key.key_id).status is KeyStatus.REVOKED


def test_times_with_a_fraction_and_a_zone_are_saved_again(key: sp.SigningKey, path: Path) -> None:
    time = datetime(2027, 1, 1, 1, 2, 3, 456, tzinfo=timezone(timedelta(hours=9)))
    keyring = Keyring().with_key(key.verification_key, not_before=time, not_after=time + DAY)
    keyring.save(path)
    keyring.save(path)
    keyring.retired(key.key_id, time + DAY).save(path)
    assert Keyring.load(path).find(key.key_id).not_after == (time + DAY).replace(microsecond=0)


@pytest.mark.parametrize("time", [datetime.max, datetime(999, 1, 1)])
def test_a_time_that_has_no_text_is_refused(key: sp.SigningKey, path: Path, time: datetime) -> None:
    zone = timezone(-timedelta(hours=9))
    with pytest.raises(sp.ConfigurationError, match=f"keyring {path}"):
        Keyring().with_key(key.verification_key, not_after=time.replace(tzinfo=zone)).save(path)
    assert list(path.parent.iterdir()) == []


def test_a_file_that_is_no_keyring_is_not_overwritten(keyring: Keyring, path: Path) -> None:
    path.write_text("something")
    with pytest.raises(sp.ConfigurationError, match="is not usable"):
        keyring.save(path)
    assert path.read_text() == "something"


def test_a_keyring_keeps_its_mode_and_its_link(keyring: Keyring, key: sp.SigningKey, path: Path) -> None:
    target = path.with_name("target.json")
    keyring.save(target)
    target.chmod(0o640)
    path.symlink_to(target)
    Keyring.load(path).revoked(key.key_id).save(path)
    assert path.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert Keyring.load(target).find(key.key_id).status is KeyStatus.REVOKED


def test_a_keyring_that_is_too_large_is_not_written(key: sp.SigningKey, path: Path) -> None:
    keyring = Keyring(
        tuple(
            Keyring().with_key(KeyReference("env:X", f"{number:032x}"), comment="x" * 200).keys[0]
            for number in range(3500)
        )
    )
    with pytest.raises(sp.ConfigurationError, match=f"would be too large: expected at most {MAXIMUM_BYTES} bytes"):
        keyring.save(path)


def test_of_many_who_add_keys_at_once_nobody_s_is_lost(path: Path) -> None:
    Keyring().save(path)

    def add(number: int) -> None:
        key = sp.SigningKey.generate().verification_key
        for _ in range(1000):
            with suppress(sp.ConfigurationError):
                Keyring.load(path).with_key(key, comment=f"{number}").save(path)
                return
        raise AssertionError("never had its turn")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert sorted(int(entry.comment) for entry in Keyring.load(path)) == list(range(24))
