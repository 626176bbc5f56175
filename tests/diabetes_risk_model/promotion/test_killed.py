"""The watcher is killed by the kernel at each step; the next run ends where an undisturbed one does."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from diabetes_risk_model.promotion.registry import Registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.watcher import PROMOTED, UNCHANGED
from signed_parameters import VerifiedPackage
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Storage
from tests.ssh_server import SECONDS, SshServer, wait_until

# Whatever the watcher asks of others, and whatever it changes.
STEPS: list[tuple[type, tuple[str, ...]]] = [
    (Registry, ("aliases", "version", "set_tag")),
    (Repository, ("fetch", "commit", "push")),
    (S3Storage, ("stream", "write", "write_bytes")),
    (VerifiedPackage, ("save",)),
]
CHANGES = ("set_tag", "push", "write", "write_bytes")
MOST_POINTS = 100


def _instrument(point: Callable[[], None]) -> None:
    """Let each step come to a point before it, and after it if it changes anything, in a process that ends soon."""
    for kind, names in STEPS:
        for name in names:
            _wrap(kind, name, getattr(kind, name), point)


def _wrap(kind: type, name: str, step: Callable[..., Any], point: Callable[[], None]) -> None:
    def stepped(*arguments: Any, **options: Any) -> Any:
        point()
        result = step(*arguments, **options)
        if name in CHANGES:
            point()
        return result

    setattr(kind, name, stepped)


def _run_until(world: Any, last: int) -> bool:
    """Run a watcher in a process of its own, which kills itself at a point. Return whether it came so far."""
    child = os.fork()
    if child == 0:
        passed = 0

        def point() -> None:
            nonlocal passed
            passed += 1
            if passed == last:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            tempfile.tempdir = str(world.folder)  # what a killed process leaves there goes with the test
            _instrument(point)
            outcome = world.watcher().once()[0]
            os._exit(0 if outcome.state == PROMOTED else 3)
        finally:
            os._exit(4)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _state(world: Any, number: str) -> tuple[Any, ...]:
    """Return all that a promotion leaves behind, without the names that differ between worlds."""

    def plain(text: str) -> str:
        text = text.replace(world.model, "MODEL").replace(str(world.folder), "F")
        return re.sub(r"sha256:[0-9a-f]{64}|blake3-[0-9a-f]{64}", "DIGEST", text)

    storage = open_storage(f"s3://staging-files/{world.model}")
    stored = sorted((plain(name), len(storage.read(name, 1 << 20))) for name in storage.names())
    files = {name: plain(text) for name, text in world.deployed().items()}
    return files, [plain(subject) for subject in world.commits()], stored, world.tag(number)


@pytest.fixture
def start(make_world: Callable[..., Any]) -> Callable[..., tuple[Any, str]]:
    """Make a world in which one version waits to be promoted: the first, or one after others."""

    def make(versions: int = 1) -> tuple[Any, str]:
        world = make_world(f"m{os.urandom(6).hex()}")
        for serial in range(1, versions):
            world.alias("staging", world.register(serial))
            assert world.once().state == PROMOTED
        number = world.register(versions)
        world.alias("staging", number)
        return world, number

    return make


@pytest.mark.parametrize("versions", [1, 2])
def test_killed_at_any_step_the_next_run_ends_in_the_same_state(start, versions):
    undisturbed, number = start(versions)
    assert undisturbed.once().state == PROMOTED
    expected = _state(undisturbed, number)
    points = 0
    for last in range(1, MOST_POINTS):
        world, number = start(versions)
        if not _run_until(world, last):
            break
        points = last
        assert world.once().state in (PROMOTED, UNCHANGED)
        assert _state(world, number) == expected, f"killed at point {last}"
        assert world.once().state == UNCHANGED
    assert 15 < points < MOST_POINTS - 1


class Receiving:
    """The server's side of a push, which waits in a hook of the bare repository until it is told how to end."""

    def __init__(self, world: Any) -> None:
        self._hook, self._pid, self._answer = (
            world.bare / "hooks" / "pre-receive",
            world.folder / "waiting",
            world.folder / "answer",
        )
        self._hook.parent.mkdir(exist_ok=True)
        self._hook.write_text(
            f"#!/bin/sh\necho $$ > {self._pid}.new\nmv {self._pid}.new {self._pid}\n"
            f"while [ ! -f {self._answer} ]; do sleep 0.05; done\nexit $(cat {self._answer})\n"
        )
        self._hook.chmod(0o755)

    def wait(self) -> None:
        """Wait until a push is in the hook. The next push finds none."""
        wait_until(self._pid.exists, "the server's hook")
        self._hook.unlink()
        self._process = psutil.Process(int(self._pid.read_text())).parent()

    def end(self, status: int) -> None:
        """Let the hook end with a status, and wait until the server has done what it does then."""
        new = self._answer.with_suffix(".new")
        new.write_text(str(status))
        new.rename(self._answer)
        if self._process is not None:
            self._process.wait(SECONDS)


def _kill_in_push(world: Any, receiving: Receiving) -> None:
    """Start a watcher, and kill it, its git and its ssh when the server has received the commit."""
    command = [str(Path(sys.executable).with_name("diabetes-risk-model")), "promote", "once"]
    with subprocess.Popen(
        [*command, "--config", str(world.config)], env={**os.environ, "TMPDIR": str(world.folder)}
    ) as watcher:
        receiving.wait()
        family = [psutil.Process(watcher.pid), *psutil.Process(watcher.pid).children(recursive=True)]
        assert {"git", "ssh"} <= {process.name() for process in family}
        for process in family:
            process.kill()
    assert watcher.returncode == -signal.SIGKILL


@pytest.mark.parametrize("outcome", ["arrives", "is lost", "arrives after the next run's"])
def test_killed_inside_a_push_the_next_run_ends_in_the_same_state(start, sshd: SshServer, monkeypatch, outcome):
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command())
    undisturbed, number = start()
    assert undisturbed.once().state == PROMOTED
    expected = _state(undisturbed, number)
    world, number = start()
    world.reach_over_ssh(sshd)
    before, receiving = world.head(), Receiving(world)
    _kill_in_push(world, receiving)
    assert world.head() == before
    if outcome == "arrives":
        receiving.end(0)
        assert world.head() != before
        assert world.once().state == UNCHANGED
    elif outcome == "is lost":
        receiving.end(1)
        assert world.head() == before
        assert world.once().state == PROMOTED
    else:
        assert world.once().state == PROMOTED
        head = world.head()
        receiving.end(0)
        assert world.head() == head
    assert _state(world, number) == expected
    assert world.once().state == UNCHANGED
