"""A real OpenSSH server on a free port of this machine, with keys that are made for it: for Git over SSH."""

import os
import pwd
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from signed_parameters.child_process import ChildProcess

SECONDS = 180.0
_PROGRAM_PATHS = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
_PRIVATE_PLACE = Path("/run/sshd")  # where root starts a server it has to be there; others may use it, so it stays


def make_key(path: Path, passphrase: str = "") -> Path:
    """Make an SSH key, and return the file of its private half."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
    return path


class SshServer:
    """`sshd` as this user, over a folder. Use it as a context manager; `user_key` may sign in."""

    def __init__(self, folder: Path) -> None:
        """Make the keys and the configuration, or skip the test where a program is missing."""
        program = shutil.which("sshd", path=_PROGRAM_PATHS)
        if program is None or shutil.which("ssh") is None:
            pytest.skip("there is no OpenSSH server and client on this machine")
        folder.mkdir(mode=0o700)
        self._folder, self._program = folder, program
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.user_key = make_key(folder / "user")
        self.host_key = make_key(folder / "host")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.authorize(self.user_key)
        self._child: ChildProcess | None = None

    def address(self, path: Path) -> str:
        """Return the address of a repository on this machine."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def authorize(self, key: Path) -> None:
        """Let a key sign in, besides those that may."""
        with (self._folder / "authorized").open("a") as file:
            file.write(key.with_suffix(".pub").read_text())

    def known_hosts(self, key: Path | None = None) -> Path:
        """Write a file that pins a host key, by default the right one; return it."""
        path = self._folder / "known_hosts"
        path.write_text(f"[127.0.0.1]:{self.port} {(key or self.host_key).with_suffix('.pub').read_text()}")
        return path

    def command(self, *, key: Path | None = None, known_hosts: Path | None = None) -> str:
        """Return what GIT_SSH_COMMAND has to be: the right key and the right host, unless others are given."""
        known = known_hosts or self.known_hosts()
        options = f"-o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={known}"
        return f"ssh -F none -i {key or self.user_key} {options}"

    def __enter__(self) -> Self:
        settings = {
            "ListenAddress": "127.0.0.1",
            "Port": self.port,
            "HostKey": self.host_key,
            "AuthorizedKeysFile": self._folder / "authorized",
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
        }
        configuration = self._folder / "sshd_config"
        configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.geteuid() == 0:
            _PRIVATE_PLACE.mkdir(mode=0o755, exist_ok=True)
        self._child = ChildProcess([self._program, "-D", "-e", "-f", configuration], {"PATH": os.defpath})
        self._child.start()
        if not self._child.wait_for_line("Server listening on", SECONDS):
            said = self._child.log()
            self.__exit__(None, None, None)
            raise AssertionError(f"sshd does not start: {said}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()


class SilentServer:
    """Takes connections on a port of this machine and never says a word. Use it as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def was_called(self) -> bool:
        """Return whether somebody waits for an answer."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
