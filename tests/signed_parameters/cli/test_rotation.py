"""The commands of a key's life: into the keyring, replaced, retired, revoked."""

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

Run = Callable[..., Any]
KEYRING = ("--keyring", "keyring.json")
LONG = "x" * 5000


@pytest.fixture
def first(run: Run) -> str:
    """A keyring with one key; its id."""
    return str(run.told(run("keygen", *KEYRING, "--comment", "trainer", "--json"))["key_id"])


def _keyring() -> sp.Keyring:
    return sp.Keyring.load("keyring.json", secrets=False)


def _statuses() -> list[tuple[str, str]]:
    return [(key.key_id, str(key.status)) for key in _keyring()]


# keygen


def test_keygen_begins_a_keyring_and_adds_to_it(run: Run, first: str) -> None:
    told = run.told(
        run("keygen", "--out", "b.json", "--verification-key", "b.txt", *KEYRING, "--comment", "approver", "--json")
    )
    assert told["keyring"] == "keyring.json"
    assert _statuses() == [(first, "active"), (told["key_id"], "active")]
    assert [key.comment for key in _keyring()] == ["trainer", "approver"]
    assert _keyring().find(first).key == sp.SigningKey.load("signing_key.json").verification_key
    assert stat.S_IMODE(os.stat("keyring.json").st_mode) == 0o644


@pytest.mark.parametrize("keyring", [".", "taken", "missing/keyring.json", LONG, "signing_key.json", "empty"])
def test_keygen_leaves_no_key_that_is_not_in_its_keyring(run: Run, keyring: str) -> None:
    Path("taken").write_text("something")
    Path("empty").write_text("")
    assert "ConfigurationError: keyring" in run("keygen", "--keyring", keyring, code=2).stderr
    assert sorted(os.listdir()) == ["empty", "taken"]
    assert Path("taken").read_text() == "something"


@pytest.mark.parametrize(
    "options", [("--out", "taken"), ("--out", "missing/key.json"), ("--verification-key", "taken"), ("--out", "..")]
)
def test_keygen_adds_no_key_that_it_could_not_write(run: Run, first: str, options: tuple[str, ...]) -> None:
    Path("taken").write_text("something")
    before, present = Path("keyring.json").read_bytes(), sorted(os.listdir())
    fresh = ("--out", "b.json", "--verification-key", "b.txt")
    run("keygen", *KEYRING, *fresh, *options, code=2)
    assert Path("keyring.json").read_bytes() == before
    assert sorted(os.listdir()) == present


def test_a_folder_that_takes_no_files_leaves_the_keyring_as_it_is(
    run: Run, first: str, permissions_count: None
) -> None:
    before = Path("keyring.json").read_bytes()
    os.mkdir("closed", 0o500)
    assert "cannot be written" in run("rotate", *KEYRING, "--out", "closed/key.json", code=2).stderr
    assert Path("keyring.json").read_bytes() == before
    os.mkdir("open")
    Path("closed").chmod(0o700)
    os.rename("keyring.json", "closed/keyring.json")
    Path("closed").chmod(0o500)
    result = run("rotate", "--keyring", "closed/keyring.json", "--out", "open/key.json", code=2)
    assert "keyring closed/keyring.json cannot be written" in result.stderr
    assert os.listdir("open") == []
    Path("closed").chmod(0o700)


def test_a_comment_without_a_keyring_is_refused(run: Run) -> None:
    assert "--comment is for a keyring" in run("keygen", "--comment", "trainer", code=2).stderr
    assert os.listdir() == []


def test_a_comment_that_is_not_usable_leaves_nothing(run: Run) -> None:
    assert "one line" in run("keygen", *KEYRING, "--comment", "a\nb", code=2).stderr
    assert os.listdir() == []


# HMAC in a keyring


def test_an_hmac_key_stands_in_a_keyring_by_reference(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("keygen", "--algorithm", "hmac-sha512", *KEYRING, "--reference", "file:verification_key.txt")
    key = sp.SigningKey.load("signing_key.json")
    secret = str(key.verification_key).removeprefix("hmac-sha512:")
    assert secret not in Path("keyring.json").read_text() + result.output
    trusted = sp.Keyring.load("keyring.json").find(key.key_id)
    assert trusted.key.signature_holds(b"message", key.sign(b"message"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--algorithm", "hmac-sha512", *KEYRING), "a keyring is public"),
        (("--algorithm", "hmac-sha512", *KEYRING, "--reference", "SECRET"), "expected env:NAME or file:PATH"),
        (("--algorithm", "hmac-sha512", "--reference", "env:SECRET"), "--reference is for HMAC keys in a keyring"),
        ((*KEYRING, "--reference", "env:SECRET"), "--reference is for HMAC keys in a keyring"),
    ],
)
def test_a_reference_is_for_hmac_keys_in_a_keyring(run: Run, options: tuple[str, ...], says: str) -> None:
    assert says in run("keygen", *options, code=2).stderr
    assert os.listdir() == []


def test_rotate_can_lead_from_hmac_to_ed25519(run: Run) -> None:
    run("keygen", "--algorithm", "hmac-sha512", *KEYRING, "--reference", "env:NO_SUCH_SECRET")
    run("rotate", *KEYRING, "--out", "new.json")
    assert [(str(key.key.algorithm), str(key.status)) for key in _keyring()] == [
        ("hmac-sha512", "retired"),
        ("ed25519", "active"),
    ]


# rotate


def test_rotate_replaces_a_key_and_lets_both_count(run: Run, first: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    told = run.told(run("rotate", *KEYRING, "--out", "new.json", "--overlap", "7d", "--comment", "2027", "--json"))
    assert _statuses() == [(first, "retired"), (told["key_id"], "active")]
    end = _keyring().find(first).not_after
    assert end is not None
    assert before + timedelta(days=7) <= end <= datetime.now(UTC) + timedelta(days=7)
    assert told["retired"] == [{"key_id": first, "not_after": f"{end:%Y-%m-%dT%H:%M:%SZ}"}]
    assert sp.SigningKey.load("new.json").key_id == told["key_id"]
    assert stat.S_IMODE(os.stat("new.json").st_mode) == 0o600
    assert told["verification_key"] is None
    assert sorted(os.listdir()) == ["keyring.json", "new.json", "signing_key.json", "verification_key.txt"]


def test_rotate_says_what_comes_next(run: Run, first: str) -> None:
    shown = run("rotate", *KEYRING, "--out", "new.json").stdout
    steps = [line for line in shown.splitlines() if line[:2] in ("1.", "2.", "3.")]
    assert "Distribute keyring.json" in steps[0]
    assert "Sign with new.json" in steps[1]
    assert "Remove the old signing key" in steps[2]
    assert "signed-parameters resign URI --key new.json --keyring keyring.json" in shown
    assert f"{first} (counts until" in shown


def test_rotate_retires_all_active_keys_or_the_one_that_is_named(run: Run, first: str) -> None:
    second = run.told(run("rotate", *KEYRING, "--out", "2.json", "--json"))["key_id"]
    third = run.told(run("keygen", "--out", "3.json", "--verification-key", "3.txt", *KEYRING, "--json"))["key_id"]
    run("rotate", *KEYRING, "--out", "4.json", "--key-id", second)
    assert dict(_statuses())[second] == "retired"
    assert dict(_statuses())[third] == "active"
    told = run.told(run("rotate", *KEYRING, "--out", "5.json", "--json"))
    assert [entry["key_id"] for entry in told["retired"]] == [third, sp.SigningKey.load("4.json").key_id]
    assert [status for _, status in _statuses()].count("active") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--key-id", "0" * 32), "is not in the keyring"),
        (("--overlap", "0d"), "--overlap is not usable: expected a time such as 90d"),
        (("--overlap", "soon"), "--overlap is not usable"),
        (("--out", "signing_key.json"), "exists already"),
        (("--out", "keyring.json"), "exists already"),
        (("--verification-key", "verification_key.txt"), "cannot be written"),
        (("--keyring", "missing.json"), "cannot be read"),
        (("--algorithm", "hmac-sha512"), "a keyring is public"),
        (("--algorithm", "hmac-sha512", "--reference", "env:X"), "a keyring is public"),
    ],
)
def test_rotate_does_all_or_nothing(run: Run, first: str, options: tuple[str, ...], says: str) -> None:
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    assert says in run("rotate", *KEYRING, "--out", "new.json", *options, code=2).stderr
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


@pytest.mark.parametrize("command", ["retire", "revoke"])
def test_rotate_replaces_active_keys_only(run: Run, first: str, command: str) -> None:
    run(command, first, *KEYRING)
    stderr = run("rotate", *KEYRING, "--out", "new.json", "--key-id", first, code=2).stderr
    assert f"{first} cannot be replaced: expected the id of an active key, found it {command}" in stderr
    assert not Path("new.json").exists()
    run("rotate", *KEYRING, "--out", "new.json")
    assert [status for _, status in _statuses()] == [f"{command}d", "active"]


def test_what_both_keys_signed_verifies_during_the_overlap(signed: Run) -> None:
    """From end to end: a package signed before, one signed after, and the old key revoked at last."""
    old = sp.SigningKey.load("signing_key.json")
    sp.Keyring().with_key(old.verification_key).save("keyring.json")
    signed("rotate", *KEYRING, "--out", "new.json")
    signed("build", "q.zip", "files")
    signing = ("--name", "m", "--version", "0.1.0", "--parameters-version", "2", "--serial", "8")
    signed("sign", "q.zip", "--key", "new.json", *signing, *KEYRING)
    new = sp.SigningKey.load("new.json")
    for name, key in (("p.zip", old), ("q.zip", new)):
        with sp.verify_package(name, sp.TrustPolicy(name="m", keys=_keyring())) as package:
            assert package.key_id == key.key_id
    signed("revoke", old.key_id, *KEYRING)
    with pytest.raises(sp.RevokedKey):
        sp.verify_package("p.zip", sp.TrustPolicy(name="m", keys=_keyring()))
    with sp.verify_package("q.zip", sp.TrustPolicy(name="m", keys=_keyring())) as package:
        assert package.key_id == new.key_id


# retire, revoke


def test_retire_ends_the_time_of_a_key(run: Run, first: str) -> None:
    told = run.told(run("retire", first, *KEYRING, "--overlap", "12h", "--json"))
    end = _keyring().find(first).not_after
    assert end is not None
    assert timedelta(hours=11) < end - datetime.now(UTC) <= timedelta(hours=12)
    assert told == {
        "keyring": "keyring.json",
        "key_id": first,
        "status": "retired",
        "not_after": f"{end:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert "is not prolonged" in run("retire", first, *KEYRING, "--overlap", "13h", code=2).stderr
    assert "No key is left to sign with" in run("retire", first, *KEYRING, "--overlap", "1h").stdout


def test_revoke_is_for_ever(run: Run, first: str) -> None:
    assert run.told(run("revoke", first, *KEYRING, "--json"))["status"] == "revoked"
    assert "It stays revoked" in run("retire", first, *KEYRING, code=2).stderr
    assert "No key is left to sign with" in run("revoke", first, *KEYRING).stdout
    run("rotate", *KEYRING, "--out", "new.json")
    assert _statuses()[0] == (first, "revoked")
    assert "No key is left" not in run("revoke", first, *KEYRING).stdout


@pytest.mark.parametrize("command", ["retire", "revoke"])
def test_a_key_that_is_not_there_is_named(run: Run, first: str, command: str) -> None:
    before = Path("keyring.json").read_bytes()
    assert f"key x is not in the keyring: expected {first}" in run(command, "x", *KEYRING, code=2).stderr
    assert Path("keyring.json").read_bytes() == before


# keys


def test_keys_shows_which_keys_count(run: Run, first: str) -> None:
    second = run.told(run("rotate", *KEYRING, "--out", "2.json", "--json"))["key_id"]
    third = run.told(run("rotate", *KEYRING, "--out", "3.json", "--json"))["key_id"]
    run("revoke", first, *KEYRING)
    told = run.told(run("keys", *KEYRING, "--json"))
    assert [(key["key_id"], key["status"], key["counts_now"]) for key in told["keys"]] == [
        (first, "revoked", False),
        (second, "retired", True),
        (third, "active", True),
    ]
    assert (told["keys"][2]["not_before"], told["keys"][2]["not_after"]) == (None, None)
    lines = run("keys", *KEYRING).stdout.splitlines()
    assert lines[0].split() == "key id algorithm status counts from until counts now comment".split()
    assert [line.split()[0] for line in lines[1:]] == [first, second, third]
    assert lines[3].split() == [third, "ed25519", "active", "always", "for", "ever", "yes"]
    assert lines[1].endswith("trainer")
    assert len({line.index(word) for line, word in zip(lines[1:], ("revoked", "retired", "active"), strict=True)}) == 1


def test_keys_of_another_time_do_not_count(run: Run, key: sp.SigningKey) -> None:
    now = datetime.now(UTC)
    over = sp.SigningKey.generate()
    (
        sp.Keyring()
        .with_key(key.verification_key, not_before=now + timedelta(days=1))
        .with_key(over.verification_key, not_after=now - timedelta(days=1))
        .save("keyring.json")
    )
    told = run.told(run("keys", *KEYRING, "--json"))
    assert [entry["counts_now"] for entry in told["keys"]] == [False, False]


def test_an_empty_keyring_has_a_table_too(run: Run) -> None:
    sp.Keyring().save("keyring.json")
    assert run("keys", *KEYRING).stdout.count("\n") == 1


# sign


def test_sign_refuses_a_key_that_is_to_sign_no_more(signed: Run) -> None:
    key = sp.SigningKey.load("signing_key.json")
    sp.Keyring().with_key(key.verification_key).save("keyring.json")
    serial = ("--serial", "8")
    signed("sign", "p.zip", *signed.SIGNING, *serial, *KEYRING)
    before = Path("p.zip.dsse.json").read_bytes()
    signed("retire", key.key_id, *KEYRING)
    assert (
        "is retired, and is not to sign" in signed("sign", "p.zip", *signed.SIGNING, *serial, *KEYRING, code=2).stderr
    )
    signed("revoke", key.key_id, *KEYRING)
    assert (
        "is revoked, and is not to sign" in signed("sign", "p.zip", *signed.SIGNING, *serial, *KEYRING, code=2).stderr
    )
    assert Path("p.zip.dsse.json").read_bytes() == before


def test_sign_refuses_a_key_that_the_keyring_does_not_have(signed: Run, key: sp.SigningKey) -> None:
    sp.Keyring().with_key(key.verification_key).save("keyring.json")
    stderr = signed("sign", "p.zip", *signed.SIGNING, "--serial", "8", *KEYRING, code=2).stderr
    assert f"is not in the keyring: expected {key.key_id}" in stderr
