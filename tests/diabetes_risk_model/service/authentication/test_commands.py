"""`diabetes-risk-model users`."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from diabetes_risk_model.cli import main
from diabetes_risk_model.service.authentication.passwords import verify_password
from diabetes_risk_model.service.authentication.users import read_users

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
PASSWORD = "made up here and nowhere else"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run("add", ..., given="...")` runs a command in an empty folder, and expects no traceback."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, given="", code=0):
        result = CliRunner().invoke(main, ["users", *arguments], input=given)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == code, result.output
        assert PASSWORD not in result.output
        return result

    return invoke


def test_add_list_and_remove(run):
    assert "added ana; users.json has 1 user" in run("add", "users.json", "ana", given=f"{PASSWORD}\n").stdout
    run("add", "users.json", "ben", given=f"{PASSWORD}\r\n")
    assert run("list", "users.json").stdout.split() == ["ana", "ben"]
    hashes = read_users(Path("users.json")).hashes
    assert all(verify_password(encoded, PASSWORD) for encoded in hashes.values())
    assert "removed ana; users.json has 1 user" in run("remove", "users.json", "ana").stdout
    assert json.loads(run("list", "users.json", "--json").stdout) == {"users": ["ben"]}
    run("remove", "users.json", "ben")
    assert run("list", "users.json").stdout == "no users\n"


def test_a_password_is_replaced_only_where_that_is_said(run):
    run("add", "users.json", "ana", given=PASSWORD)
    before = read_users(Path("users.json"))
    assert "add --replace" in run("add", "users.json", "ana", given=PASSWORD, code=2).stderr
    assert read_users(Path("users.json")) == before
    run("add", "--replace", "users.json", "ana", given="another one, made up here too")
    after = read_users(Path("users.json"))
    assert verify_password(after.hashes["ana"], "another one, made up here too")
    assert "no user ben" in run("add", "--replace", "users.json", "ben", given=PASSWORD, code=2).stderr


@pytest.mark.parametrize("given", ["", "\n", "short", "two\nlines of text are no password", "\x00" * 20, "x" * 300])
def test_what_is_no_password_adds_nobody(run, given):
    assert "ConfigurationError: the password" in run("add", "users.json", "ana", given=given, code=2).stderr
    assert not Path("users.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "nothing.json"), "users file nothing.json cannot be read"),
        (("remove", "nothing.json", "ana"), "nothing.json has no such user: found 'ana'"),
        (("add", "nothing/users.json", "ana"), "users file nothing/users.json cannot be written"),
        (("add", "users.json", "a b"), "name is not usable"),
        (("add", "users.json", "x" * 5_000), "name is not usable"),
        (("add", ".", "ana"), "is a directory"),
        (("add", "users.json"), "Missing argument 'NAME'"),
        (("add", "users.json", "ana", PASSWORD[:4]), "unexpected extra argument"),
    ],
)
def test_a_mistake_is_explained(run, arguments, says):
    assert says in run(*arguments, given=PASSWORD, code=2).stderr
    assert os.listdir() == []


def test_a_file_that_is_open_to_others_is_not_gone_on_with(run):
    run("add", "users.json", "ana", given=PASSWORD)
    os.chmod("users.json", 0o644)
    assert "open to others" in run("add", "users.json", "ben", given=PASSWORD, code=2).stderr


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "users", "add", "users.json", "ana"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with process:
        for prompt in (b"New password of ana: ", b"Repeat for confirmation: "):
            while prompt not in shown:
                shown += os.read(ours, 1_024)
            os.write(ours, f"{PASSWORD}\n".encode())
        try:
            while more := os.read(ours, 1_024):
                shown += more
        except OSError:  # what Linux says when the other side has closed
            pass
    os.close(ours)
    assert process.returncode == 0, shown
    assert PASSWORD.encode() not in shown
    assert verify_password(read_users(tmp_path / "users.json").hashes["ana"], PASSWORD)
