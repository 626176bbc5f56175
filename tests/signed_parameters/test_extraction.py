"""What a model server finds in its folder: verified files, or nothing."""

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.statement import ENVELOPE_SUFFIX

MEBIBYTE = 1 << 20
FILES = {"model.pkl": b"\x80\x04N.", "plots/auc.png": b"an image", "manifest.json": b"{}"}


@pytest.fixture
def package(make_package: Any) -> Path:
    path: Path = make_package(FILES)
    return path


def _found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_every_file_is_written(package: Path, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    statement = sp.extract_package(package, tmp_path / "a/models", policy)
    assert statement.serial == 1
    assert _found(tmp_path / "a/models") == FILES


def test_chosen_files_get_the_names_that_the_server_wants(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy
) -> None:
    names = {"model.pkl": "model.joblib", "manifest.json": "about/manifest.json"}
    sp.extract_package(package, tmp_path / "models", policy, files=names)
    assert _found(tmp_path / "models") == {
        "about/manifest.json": FILES["manifest.json"],
        "model.joblib": FILES["model.pkl"],
    }


def test_the_server_s_user_can_read_them(package: Path, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    before = os.umask(0o077)
    try:
        sp.extract_package(package, tmp_path / "models", policy)
    finally:
        os.umask(before)
    modes = {
        path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "models", *(tmp_path / "models").rglob("*"))
    }
    assert modes == {
        "models": 0o755,
        "models/manifest.json": 0o644,
        "models/model.pkl": 0o644,
        "models/plots": 0o755,
        "models/plots/auc.png": 0o644,
    }


def test_a_second_time_replaces_what_is_there(package: Path, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    folder = tmp_path / "models"
    (folder / "lost+found").mkdir(parents=True)
    (folder / "model.pkl").write_bytes(b"older")
    for _ in range(2):
        sp.extract_package(package, folder, policy)
        assert _found(folder) == FILES


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.onnx": "model.onnx"}, r"has no file 'model\.onnx': expected one of manifest\.json, model\.pkl"),
        ({"model.pkl": "../model.pkl"}, "cannot be written under another name"),
        ({"model.pkl": "/model.pkl"}, "cannot be written under another name"),
        ({"model.pkl": ".hidden"}, "cannot be written under another name"),
        ({"model.pkl": "a", "manifest.json": "a"}, "each name once"),
        ({}, "one at least"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy, files: dict[str, str], message: str
) -> None:
    with pytest.raises(sp.ConfigurationError, match=message):
        sp.extract_package(package, tmp_path / "models", policy, files=files)
    assert not (tmp_path / "models").exists()


# Attacks


def _plant_model(folder: Path) -> None:
    (folder / "model.joblib").write_bytes(b"of an attacker")


def _plant_below(folder: Path) -> None:
    (folder / "1").mkdir()
    (folder / "1/model.pkl").write_bytes(b"of an attacker")


def _plant_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "plots").symlink_to(folder.parent / "elsewhere")


def _plant_dangling_link(folder: Path) -> None:
    (folder / "other.pkl").symlink_to("/nowhere")


@pytest.mark.parametrize("plant", [_plant_model, _plant_below, _plant_link, _plant_dangling_link])
def test_a_model_planted_in_the_folder(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy, plant: Callable[[Path], None], refused: Any
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    plant(folder)
    before = sorted(folder.rglob("*"))
    with refused(sp.ConfigurationError, match="holds something else"):
        sp.extract_package(package, folder, policy)
    assert sorted(folder.rglob("*")) == before
    assert _found(tmp_path / "elsewhere") == {}


def test_a_file_that_is_a_link_is_replaced_and_not_followed(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "victim").write_bytes(b"untouched")
    (folder / "model.pkl").symlink_to(tmp_path / "victim")
    sp.extract_package(package, folder, policy)
    assert (tmp_path / "victim").read_bytes() == b"untouched"
    assert (folder / "model.pkl").read_bytes() == FILES["model.pkl"]
    assert not (folder / "model.pkl").is_symlink()


def test_a_package_that_breaks_off(workshop: Any, tmp_path: Path) -> None:
    workshop.put_signed({"a": bytes(1000), "b": bytes(1000)})
    for after in (0, 100, 1500, 2100):
        workshop.storage.breaks_after = max(after, 700)
        workshop.storage.objects["package.zip"] = workshop.storage.objects["package.zip"][: after + 700]
        with pytest.raises((sp.Unavailable, sp.DigestMismatch)):
            sp.extract_package("package.zip", tmp_path / "models", workshop.policy, storage=workshop.storage)
        assert not (tmp_path / "models").exists()


def test_sizes_that_the_package_cannot_have(workshop: Any, tmp_path: Path, refused: Any) -> None:
    archive = workshop.archive({"a": b"hello"})
    workshop.put(archive, workshop.envelope(workshop.statement(archive, {"a": bytes(MEBIBYTE)})))
    with refused(sp.MalformedPackage, match="contradicts itself"):
        sp.extract_package("package.zip", tmp_path / "models", workshop.policy, storage=workshop.storage)
    assert not (tmp_path / "models").exists()
    assert "package.zip" not in workshop.storage.served


# No room, and the end of the process


def test_a_file_system_without_unnamed_files(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    folder = tmp_path / "models"
    sp.extract_package(package, folder, policy)
    assert _found(folder) == FILES
    # What a process left that was killed is no hindrance; and nothing is left after a refusal.
    (folder / ".incoming-0123456789abcdef").write_bytes(b"half")
    data = package.read_bytes()
    package.write_bytes(data[:-1] + b"x")
    with pytest.raises(sp.DigestMismatch):
        sp.extract_package(package, folder, policy)
    assert _found(folder) == FILES


def test_a_full_disk(package: Path, tmp_path: Path, policy: sp.TrustPolicy, make_package: Any) -> None:
    large = make_package({"model.bin": os.urandom(3 * MEBIBYTE), "small": b"small"}, name="large.zip")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    try:
        with pytest.raises(sp.StorageError, match="No space left on device"):
            sp.extract_package(large, disk / "models", policy)
        assert list(disk.iterdir()) == []
        sp.extract_package(package, disk / "models", policy)
        assert _found(disk / "models") == FILES
    finally:
        subprocess.run(["umount", disk], check=True)


_EXTRACT = """
import sys, signed_parameters as sp
try:
    sp.extract_package(sys.argv[1], sys.argv[2], sp.TrustPolicy(name="m", keys=[sp.VerificationKey.parse(sys.argv[3])]))
except sp.SignedParametersError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def _start(source: object, folder: Path, key: sp.SigningKey, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _EXTRACT, str(source), str(folder), str(key.verification_key)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def test_a_file_that_may_not_become_so_large(key: sp.SigningKey, tmp_path: Path, make_package: Any) -> None:
    large = make_package({"model.bin": os.urandom(3 * MEBIBYTE)})
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MEBIBYTE, MEBIBYTE))
    process = _start(large, tmp_path / "models", key, preexec_fn=limit)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "File too large. Make room there." in said
    assert not (tmp_path / "models").exists()


class _Stalling(BaseHTTPRequestHandler):
    """Serves a folder; of a package it gives a half, and then nothing more, until it is told to."""

    def __init__(self, folder: Path, go_on: threading.Event, *arguments: Any) -> None:
        self._folder = folder
        self._go_on = go_on
        super().__init__(*arguments)

    def do_GET(self) -> None:
        data = (self._folder / self.path.lstrip("/")).read_bytes()
        half = len(data) if self.path.endswith(ENVELOPE_SUFFIX) else len(data) // 2
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data[:half])
            self.wfile.flush()
            self._go_on.wait(60)
            self.wfile.write(data[half:])
        except OSError:
            return

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def stalling(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    go_on = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Stalling, tmp_path, go_on))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", go_on
    go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_process_that_is_killed_leaves_nothing(
    stalling: tuple[str, threading.Event], tmp_path: Path, key: sp.SigningKey, make_package: Any
) -> None:
    url, go_on = stalling
    folder = tmp_path / "models"
    make_package({"model.bin": os.urandom(8 * MEBIBYTE)})
    process = _start(f"{url}/package.zip", folder, key)
    deadline = time.monotonic() + 60
    while not folder.exists() or _resident_in(process.pid, folder) < MEBIBYTE:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(folder.iterdir()) == []
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert list(folder.iterdir()) == []
    go_on.set()
    again = _start(f"{url}/package.zip", folder, key)
    assert again.communicate(timeout=60) == (None, "")
    assert [path.name for path in folder.iterdir()] == ["model.bin"]


def _resident_in(pid: int, folder: Path) -> int:
    """Return how many bytes a process has written into files of a folder that it holds open."""
    written = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(descriptor).startswith(f"{folder}/"):
                position = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split()[1]
                written += int(position)
        except OSError:
            continue
    return written
