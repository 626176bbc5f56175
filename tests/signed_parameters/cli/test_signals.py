"""Commands that are told to end while a server keeps them waiting."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import signed_parameters as sp

_COMMAND = (sys.executable, "-m", "signed_parameters")


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def _addresses(server: socket.socket) -> dict[str, tuple[str, dict[str, str]]]:
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    return {
        "https": (f"{url}/p.zip", {}),
        "s3": ("s3://models/p.zip", {"AWS_ENDPOINT_URL": url}),
        "gs": ("gs://models/p.zip", {"STORAGE_EMULATOR_HOST": url}),  # waits in compiled code
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["https", "s3", "gs"])
@pytest.mark.parametrize("first", [False, True], ids=["", "as the first process of a container"])
def test_a_command_that_waits_is_ended(
    silent_server: socket.socket, kind: str, number: signal.Signals, first: bool, key: sp.SigningKey
) -> None:
    address, environment = _addresses(silent_server)[kind]
    policy = ("--name", "m", "--key", str(key.verification_key))
    command = [*_COMMAND, "verify", address, *policy]
    if first:
        if shutil.which("unshare") is None or os.geteuid() != 0:
            pytest.skip("only root can start a process that is the first of its kind")
        command = ["unshare", "--pid", "--fork", "--kill-child", *command]
    with _started(command, environment) as process:
        connection, _ = silent_server.accept()  # from here on it waits
        with connection:
            os.kill(_child_of(process.pid) if first else process.pid, number)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said == f"ended by {number.name}\n"


@contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _child_of(pid: int) -> int:
    deadline = time.monotonic() + 20
    while not (children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(children[0])


def test_what_was_begun_is_taken_away(silent_server: socket.socket, tmp_path: Path, key: sp.SigningKey) -> None:
    """The envelope comes, and the package does not."""
    (tmp_path / "a").write_bytes(b"hello")
    package = sp.build_package(tmp_path / "p.zip", {"a": tmp_path / "a"})
    envelope = Path(sp.sign_package(package, key=key, name="m", version="1", parameters_version="1", serial=1))
    (tmp_path / "policy.yaml").write_text(f"name: m\nkeys: ['{key.verification_key}']\n")
    address, _ = _addresses(silent_server)["https"]
    command = [
        *_COMMAND,
        "initialize",
        address,
        str(tmp_path / "new/models"),
        "--policy",
        str(tmp_path / "policy.yaml"),
    ]
    with _started(command, {}) as process:
        first, _ = silent_server.accept()
        with first:
            data = envelope.read_bytes()
            first.recv(65_536)
            first.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        second, _ = silent_server.accept()
        with second:
            assert (tmp_path / "new/models").is_dir()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "new").exists()
