"""Signing keys under a passphrase: wrong ones, damage, and files that ask for too much."""

import copy
import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.keys.algorithms import Algorithm

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module", params=list(Algorithm))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[sp.SigningKey, Path]:
    """A key, and its encrypted file."""
    key = sp.SigningKey.generate(request.param)
    path = tmp_path_factory.mktemp("keys") / "key.json"
    key.save(path, PASSPHRASE)
    return key, path


@pytest.fixture
def fields(pair: tuple[sp.SigningKey, Path]) -> dict[str, Any]:
    return json.loads(pair[1].read_text())  # type: ignore[no-any-return]


def _write(path: Path, fields: dict[str, Any], *, honest: bool = True) -> Path:
    """Write a key file; `honest` takes its checksum anew, as somebody does who changes it on purpose."""
    if honest:
        content = {name: value for name, value in fields.items() if name != "checksum"}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        fields = content | {"checksum": digest[:32]}
    path.write_text(json.dumps(fields))
    path.chmod(0o600)
    return path


def test_an_encrypted_key_is_read_with_its_passphrase(pair: tuple[sp.SigningKey, Path]) -> None:
    key, path = pair
    assert sp.SigningKey.load(path, PASSPHRASE) == key
    assert sp.SigningKey.load(path, passphrase=lambda: PASSPHRASE) == key


def test_an_encrypted_file_does_not_hold_the_key(pair: tuple[sp.SigningKey, Path], tmp_path: Path) -> None:
    key, path = pair
    key.save(tmp_path / "clear.json")
    secret = json.loads((tmp_path / "clear.json").read_text())["private_key"]
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_encrypted_key_is_read_from_the_environment(
    pair: tuple[sp.SigningKey, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", pair[1].read_text())
    assert sp.SigningKey.load("env:MY_KEY", PASSPHRASE) == pair[0]


def test_the_same_key_is_never_encrypted_alike(pair: tuple[sp.SigningKey, Path], tmp_path: Path) -> None:
    pair[0].save(tmp_path / "again.json", PASSPHRASE)
    parts = [json.loads(path.read_text())["encrypted_private_key"] for path in (pair[1], tmp_path / "again.json")]
    for name in ("salt", "nonce", "ciphertext"):
        assert parts[0][name] != parts[1][name]


@pytest.mark.parametrize("wrong", ["Correct horse battery staple", PASSPHRASE + " ", "x", "\ud800"])
def test_a_wrong_passphrase_is_refused(pair: tuple[sp.SigningKey, Path], wrong: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"the passphrase of signing key .* is wrong") as caught:
        sp.SigningKey.load(pair[1], wrong)
    assert wrong not in str(caught.value) or wrong == "x"


@pytest.mark.parametrize("missing", [None, ""])
def test_a_missing_passphrase_is_asked_for(pair: tuple[sp.SigningKey, Path], missing: str | None) -> None:
    with pytest.raises(sp.ConfigurationError, match="is encrypted, and no passphrase was given"):
        sp.SigningKey.load(pair[1], missing)


def test_nobody_is_asked_for_the_passphrase_of_a_key_in_clear(key: sp.SigningKey, tmp_path: Path) -> None:
    def ask() -> str:
        raise AssertionError("asked")

    key.save(tmp_path / "key.json")
    assert sp.SigningKey.load(tmp_path / "key.json", passphrase=ask) == key
    assert sp.SigningKey.load(tmp_path / "key.json", PASSPHRASE) == key


@pytest.mark.parametrize("short", ["", "1234567"])
def test_a_short_passphrase_is_not_taken(key: sp.SigningKey, tmp_path: Path, short: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=f"at least 8 characters, found {len(short)}"):
        key.save(tmp_path / "key.json", short)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_is_the_same_however_its_accents_are_typed(key: sp.SigningKey, tmp_path: Path) -> None:
    key.save(tmp_path / "key.json", "une clé secrète")
    assert sp.SigningKey.load(tmp_path / "key.json", "une cle\u0301 secre\u0300te") == key


def _every_change(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the fields with one character of one value changed."""
    for name in ("algorithm", "key_id", "checksum"):
        yield name, fields | {name: ("0" if fields[name][0] != "0" else "1") + fields[name][1:]}
    for name, value in fields["encrypted_private_key"].items():
        changed = copy.deepcopy(fields)
        changed["encrypted_private_key"][name] = (
            value * 2 if isinstance(value, int) else ("A" if value[0] != "A" else "B") + value[1:]
        )
        yield name, changed


def test_damage_is_told_from_a_wrong_passphrase(fields: dict[str, Any], tmp_path: Path) -> None:
    for number, (name, changed) in enumerate(_every_change(fields)):
        path = _write(tmp_path / f"{number}.json", changed, honest=False)
        expected = "is not usable" if name in ("cipher", "derivation") else "is damaged"
        with pytest.raises(sp.ConfigurationError, match=expected):
            sp.SigningKey.load(path, PASSPHRASE)


@pytest.mark.parametrize("name", ["algorithm", "key_id", "ciphertext", "nonce", "salt"])
def test_what_was_changed_on_purpose_is_refused(fields: dict[str, Any], tmp_path: Path, name: str) -> None:
    """The id and the algorithm are authenticated with the key, so that nobody gives a key another name."""
    changed = dict(_every_change(fields))[name]
    if name == "algorithm":
        others = {"ed25519": "hmac-sha512", "hmac-sha512": "ed25519"}
        changed = fields | {"algorithm": others[fields["algorithm"]]}
    with pytest.raises(sp.ConfigurationError, match=r"passphrase of .* is wrong.*somebody changed the file"):
        sp.SigningKey.load(_write(tmp_path / "key.json", changed), PASSPHRASE)


@pytest.mark.parametrize(
    "work",
    [
        {"n": 2**19},
        {"n": 2**40},
        {"n": 2**17 - 1},
        {"n": 2},
        {"n": 0},
        {"n": -(2**17)},
        {"r": 2**20},
        {"p": 2**20},
        {"p": 0},
        {"n": 10**4000},
    ],
)
def test_a_file_that_asks_for_other_work_is_refused_before_any_is_done(
    fields: dict[str, Any], tmp_path: Path, work: dict[str, int]
) -> None:
    def ask() -> str:
        raise AssertionError("asked")

    fields["encrypted_private_key"].update(work)
    path = _write(tmp_path / "key.json", fields)
    with pytest.raises(sp.ConfigurationError, match="asks for another amount of work than is allowed"):
        sp.SigningKey.load(path, passphrase=ask)


def test_a_key_file_of_less_work_is_read(key: sp.SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What scrypt costs may change with a later version: it stands in the file."""
    monkeypatch.setattr("signed_parameters.keys.encryption._COST", 2**14)
    key.save(tmp_path / "key.json", PASSPHRASE)
    monkeypatch.undo()
    assert json.loads((tmp_path / "key.json").read_text())["encrypted_private_key"]["n"] == 2**14
    assert sp.SigningKey.load(tmp_path / "key.json", PASSPHRASE) == key


@pytest.mark.parametrize(
    "changes",
    [
        {"n": "131072"},
        {"n": True},
        {"n": 131072.0},
        {"salt": 1},
        {"salt": None},
        {"cipher": "none"},
        {"derivation": "pbkdf2"},
        {"comment": "mine"},
    ],
)
def test_parts_of_another_form_are_refused(fields: dict[str, Any], tmp_path: Path, changes: dict[str, Any]) -> None:
    fields["encrypted_private_key"].update(changes)
    with pytest.raises(sp.ConfigurationError, match="expected what `keygen --encrypt` writes"):
        sp.SigningKey.load(_write(tmp_path / "key.json", fields), PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"encrypted_private_key": None},
        {"encrypted_private_key": []},
        {"encrypted_private_key": {}},
        {"private_key": "AAAA"},
        {"key_id": 7},
        {"key_id": "\ud800"},
        {"algorithm": None},
        {"checksum": 7},
    ],
)
def test_members_of_another_form_are_refused(fields: dict[str, Any], tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(sp.ConfigurationError):
        sp.SigningKey.load(_write(tmp_path / "key.json", fields | changes, honest="checksum" not in changes), "x")


@pytest.mark.parametrize(("name", "value"), [("salt", "AAAA"), ("nonce", "AAAA"), ("salt", "?"), ("ciphertext", "")])
def test_parts_of_another_length_are_refused(fields: dict[str, Any], tmp_path: Path, name: str, value: str) -> None:
    fields["encrypted_private_key"][name] = value
    with pytest.raises(sp.ConfigurationError, match=r"is damaged|is not usable"):
        sp.SigningKey.load(_write(tmp_path / "key.json", fields), PASSPHRASE)
