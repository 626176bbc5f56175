"""The commands that make keys."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

Run = Callable[..., Any]
LONG = "x" * 5000


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_keygen_writes_a_private_key_and_a_public_one(run: Run) -> None:
    answer = run.told(run("keygen", "--json"))
    key = sp.SigningKey.load("signing_key.json")
    text = Path("verification_key.txt").read_text()
    assert sp.VerificationKey.parse(text) == key.verification_key
    assert text == f"{key.verification_key}\n"
    assert answer == {
        "signing_key": "signing_key.json",
        "verification_key": "verification_key.txt",
        "key_id": key.key_id,
    }
    assert (_mode("signing_key.json"), _mode("verification_key.txt")) == (0o600, 0o644)


def test_keygen_shows_the_public_key(run: Run) -> None:
    shown = run("keygen").stdout
    key = sp.SigningKey.load("signing_key.json")
    assert str(key.verification_key) in shown
    assert key.key_id in shown


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_keygen_never_shows_a_secret(run: Run, options: tuple[str, ...]) -> None:
    result = run("keygen", "--algorithm", "hmac-sha512", *options)
    key = sp.SigningKey.load("signing_key.json")
    secret = str(key.verification_key).removeprefix("hmac-sha512:")
    assert secret in Path("signing_key.json").read_text()
    assert secret not in result.output
    assert secret[:20] not in result.output
    assert (_mode("signing_key.json"), _mode("verification_key.txt")) == (0o600, 0o600)


def test_keygen_overwrites_no_key(run: Run) -> None:
    run("keygen")
    before = Path("signing_key.json").read_bytes()
    assert "exists already" in run("keygen", code=2).stderr
    assert Path("signing_key.json").read_bytes() == before


@pytest.mark.parametrize("public", [".", "taken", "missing/key.txt", LONG, "signing_key.json"])
def test_keygen_leaves_no_half_of_a_pair(run: Run, public: str) -> None:
    Path("taken").write_text("something")
    assert "cannot be written" in run("keygen", "--verification-key", public, code=2).stderr
    assert os.listdir() == ["taken"]
    assert Path("taken").read_text() == "something"


@pytest.mark.parametrize("out", [".", "missing/key.json", LONG])
def test_keygen_where_nothing_can_be_written(run: Run, out: str) -> None:
    assert run("keygen", "--out", out, code=2).stderr.startswith("ConfigurationError: signing key")
    assert os.listdir() == []
