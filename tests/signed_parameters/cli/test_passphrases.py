"""Passphrases, from the environment and from a real terminal."""

import os
import pty
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

Run = Callable[..., Any]
PASSPHRASE = "correct horse battery staple"
VARIABLE = "SIGNING_KEY_PASSPHRASE"
COMMAND = str(Path(sys.executable).with_name("signed-parameters"))


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def _at_a_terminal(*arguments: str, typed: list[str]) -> tuple[int, str]:
    """Run the installed command at a terminal, and type a line at each prompt; return its status and what it showed."""
    process, terminal = pty.fork()
    if process == 0:
        try:
            os.execv(COMMAND, [COMMAND, *arguments])
        finally:
            os._exit(127)
    shown, answered, lines = b"", 0, list(typed)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux says so when the other side has closed
            break
        if not part:
            break
        shown += part
        if lines and shown.count(b": ") > answered and shown.endswith(b": "):
            answered = shown.count(b": ")
            os.write(terminal, lines.pop(0).encode())
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert lines == [], shown
    return status, shown.decode()


def test_an_encrypted_key_signs_with_the_passphrase_of_the_environment(
    signed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    shown = signed("keygen", "--encrypt", "--out", "e.json", "--verification-key", "e.txt").output
    assert "e.json (encrypted; " in shown
    assert PASSPHRASE not in shown + Path("e.json").read_text()
    signing = ("--key", "e.json", "--name", "m", "--version", "0.1.0", "--parameters-version", "1", "--serial", "8")
    signed("sign", "p.zip", *signing)
    assert signed.told(signed("verify", "p.zip", "--name", "m", "--key", "e.txt", "--json"))["verified"]
    monkeypatch.setenv(VARIABLE, "another passphrase")
    assert "the passphrase of signing key e.json is wrong" in signed("sign", "p.zip", *signing, code=2).stderr


@pytest.mark.parametrize("value", [None, ""])
def test_where_nobody_can_be_asked_the_variable_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert f"Set {VARIABLE}" in run("keygen", "--encrypt", code=2).stderr
    assert os.listdir() == []


def test_a_short_passphrase_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "short")
    keyring = ("--keyring", "keyring.json")
    assert "the passphrase is too short" in run("keygen", "--encrypt", *keyring, code=2).stderr
    assert os.listdir() == []


def test_rotate_makes_an_encrypted_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("keygen", "--keyring", "keyring.json")
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    told = run.told(run("rotate", "--keyring", "keyring.json", "--out", "new.json", "--encrypt", "--json"))
    assert sp.SigningKey.load("new.json", PASSPHRASE).key_id == told["key_id"]


def test_a_key_in_clear_needs_no_passphrase(signed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    signed("sign", "p.zip", *signed.SIGNING, "--serial", "8")


def test_a_new_passphrase_is_typed_twice_and_not_shown(run: Run) -> None:
    status, shown = _at_a_terminal("keygen", "--encrypt", typed=[f"{PASSPHRASE}\n"] * 2)
    assert status == 0, shown
    assert "New passphrase" in shown
    assert "Repeat for confirmation" in shown
    assert PASSPHRASE not in shown
    sp.SigningKey.load("signing_key.json", PASSPHRASE)


def test_two_passphrases_that_differ_are_asked_for_again(run: Run) -> None:
    typed = [f"{PASSPHRASE}\n", "something else\n", f"{PASSPHRASE}\n", f"{PASSPHRASE}\n"]
    status, shown = _at_a_terminal("keygen", "--encrypt", typed=typed)
    assert status == 0, shown
    sp.SigningKey.load("signing_key.json", PASSPHRASE)


def test_the_passphrase_of_a_key_is_typed_once_and_not_shown(signed: Run) -> None:
    sp.SigningKey.generate().save("e.json", PASSPHRASE)
    signing = ("--key", "e.json", "--name", "m", "--version", "0.1.0", "--parameters-version", "1", "--serial", "8")
    status, shown = _at_a_terminal("sign", "p.zip", *signing, typed=[f"{PASSPHRASE}\n"])
    assert status == 0, shown
    assert "Passphrase of e.json: " in shown
    assert PASSPHRASE not in shown
    status, shown = _at_a_terminal("sign", "p.zip", *signing, typed=["something else\n"])
    assert status == 2
    assert "the passphrase of signing key e.json is wrong" in " ".join(shown.split())


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_who_gives_up_at_the_prompt_leaves_nothing(run: Run, key: str) -> None:
    """Control-C and control-D."""
    status, shown = _at_a_terminal("keygen", "--encrypt", typed=[key])
    assert status == 2, shown
    assert "no passphrase was given" in shown
    assert "Traceback" not in shown
    assert os.listdir() == []
