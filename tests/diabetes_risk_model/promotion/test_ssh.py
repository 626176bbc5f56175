"""Git over SSH, by a real server: who is refused, and that nothing waits and nothing is asked."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from diabetes_risk_model.promotion import ssh
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.watcher import PROMOTED, UNCHANGED
from signed_parameters import AccessDenied, Unavailable
from tests.ssh_server import SilentServer, make_key

COMMAND = [str(Path(sys.executable).with_name("diabetes-risk-model")), "promote", "once"]
SECONDS = 60


def refused(world: Any, message: str) -> AccessDenied:
    """Expect that the repository cannot be had, for a reason that no second try helps, and that nothing is written."""
    head = world.head()
    with world.repository() as repository, pytest.raises(AccessDenied, match=message) as raised:
        repository.fetch()
    assert raised.value.exit_code == 3
    assert world.head() == head
    return raised.value


def test_a_version_is_promoted_over_ssh(over_ssh):
    number = over_ssh.register(1)
    over_ssh.alias("staging", number)
    assert over_ssh.once().state == PROMOTED
    assert over_ssh.commits()[0].startswith("Promote staging")
    assert over_ssh.once().state == UNCHANGED


def test_a_host_that_nobody_has_pinned_is_refused(over_ssh, sshd, tmp_path, monkeypatch):
    nobody = tmp_path / "empty"
    nobody.touch()
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(known_hosts=nobody))
    assert "GIT_SSH_COMMAND" in str(refused(over_ssh, "is not known"))
    assert nobody.read_bytes() == b""


def test_a_host_with_another_key_is_refused(over_ssh, sshd, tmp_path, monkeypatch):
    other = make_key(tmp_path / "other")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(known_hosts=sshd.known_hosts(other)))
    refused(over_ssh, "is not the one that is known")


def test_a_key_that_the_host_does_not_know_is_refused(over_ssh, sshd, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(key=make_key(tmp_path / "stranger")))
    refused(over_ssh, "refuses the SSH key")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(key=tmp_path / "missing"))
    refused(over_ssh, "refuses the SSH key")


def test_a_key_that_others_can_read_is_refused(over_ssh, sshd, tmp_path, monkeypatch):
    key = tmp_path / "open"
    shutil.copy(sshd.user_key, key)
    key.chmod(0o644)
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(key=key))
    refused(over_ssh, "refuses the SSH key")


def test_nothing_is_asked_on_the_terminal(over_ssh, sshd, tmp_path):
    """The host knows the key, which has a passphrase, and SSH is told to ask: there is a terminal, and nobody at it."""
    locked = make_key(tmp_path / "locked", "a passphrase")
    sshd.authorize(locked)
    command = f"{sshd.command(key=locked)} -o BatchMode=no"
    arguments = [*COMMAND, "--config", str(over_ssh.config)]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(arguments[0], arguments, {**os.environ, "GIT_SSH_COMMAND": command})
    said, deadline = b"", time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                said += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
    finally:
        os.close(terminal)
        psutil.Process(child).kill()
    status = os.waitpid(child, 0)[1]
    assert b"refuses the SSH key" in said, said
    assert not re.search(b"passphrase for|yes/no|password:", said)
    assert os.waitstatus_to_exitcode(status) == 3


def test_the_command_ends_with_one_line(over_ssh, sshd, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command(key=make_key(tmp_path / "stranger")))
    done = subprocess.run(
        [*COMMAND, "--config", str(over_ssh.config)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 3
    assert done.stderr.startswith("AccessDenied: the host of the repository ssh://")
    assert len(done.stderr.splitlines()) == 1


def test_a_host_that_says_nothing_is_given_up(over_ssh, sshd, monkeypatch):
    monkeypatch.setenv("GIT_SSH_COMMAND", ssh.command(sshd.command(), 2))
    with SilentServer() as silent:
        over_ssh.remote = f"ssh://{sshd.user}@127.0.0.1:{silent.port}/x.git"
        with over_ssh.repository() as repository, pytest.raises(Unavailable, match="timed out"):
            repository.fetch()


def test_a_host_that_hangs_in_the_middle_is_given_up_with_all_that_was_started(over_ssh, tmp_path):
    hook = over_ssh.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/running\nexec sleep 600\n")
    hook.chmod(0o755)
    before = over_ssh.head()
    with Repository(over_ssh.address, "main", seconds=5) as repository:
        head = repository.fetch()
        commit = repository.commit(head, "a", {"a/a.txt": b"a\n"}, "Change")
        with pytest.raises(Unavailable, match="push to end in 5 s"):
            repository.push(commit, head)
    waiting = int((tmp_path / "running").read_text())
    ours = psutil.Process().children(recursive=True)
    assert not [process for process in ours if process.name() in ("git", "ssh")]
    psutil.Process(waiting).kill()
    assert over_ssh.head() == before
    hook.unlink()


def test_a_server_s_hook_cannot_pass_for_ssh():
    lines = ["remote: Host key verification failed.", "remote: a@b: Permission denied (publickey).", " ! [rejected]"]
    assert ssh.refusal("ssh://h/x.git", lines) is None
