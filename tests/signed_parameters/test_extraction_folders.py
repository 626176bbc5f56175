"""Folders that are not as the initializer would like them: occupied, crowded, half written, or none at all."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

FILES = {"a.txt": b"text", "model.pkl": b"\x80\x04N.", "plots/auc.png": b"an image"}


@pytest.fixture
def package(make_package: Any) -> Path:
    path: Path = make_package(FILES)
    return path


def _found(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["model.pkl", "a.txt", "plots/auc.png"])
def test_a_folder_in_the_place_of_a_file(package: Path, tmp_path: Path, policy: sp.TrustPolicy, name: str) -> None:
    folder = tmp_path / "models"
    (folder / name).mkdir(parents=True)
    before = _found(folder)
    with pytest.raises(sp.ConfigurationError, match=f"holds something else, '{name}'"):
        sp.extract_package(package, folder, policy)
    assert _found(folder) == before


@pytest.mark.parametrize(
    "names",
    [
        {"a.txt": "x", "model.pkl": "x/y"},
        {"a.txt": "x/y/z", "model.pkl": "x/y"},
        {"a.txt": "Model.pkl", "model.pkl": "model.pkl"},
    ],
)
def test_names_that_get_in_each_other_s_way(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy, names: dict[str, str]
) -> None:
    with pytest.raises(sp.ConfigurationError, match="none of them the folder of another"):
        sp.extract_package(package, tmp_path / "models", policy, files=names)
    assert not (tmp_path / "models").exists()


def test_a_package_whose_names_get_in_each_other_s_way(
    make_package: Any, tmp_path: Path, policy: sp.TrustPolicy
) -> None:
    package = make_package({"model": b"a file", "model/weights": b"below it"})
    with pytest.raises(sp.ConfigurationError, match="none of them the folder of another"):
        sp.extract_package(package, tmp_path / "models", policy)
    sp.extract_package(package, tmp_path / "models", policy, files={"model/weights": "model/weights"})
    assert _found(tmp_path / "models") == ["model", "model/weights"]


@pytest.mark.parametrize(("folder", "message"), [("", "is empty"), ("a\0b", "is no path")])
def test_a_folder_that_is_none(package: Path, policy: sp.TrustPolicy, folder: str, message: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=message):
        sp.extract_package(package, folder, policy)


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere"), lambda path: os.mkfifo(path)])
def test_something_else_in_the_place_of_the_folder(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "models")
    with pytest.raises(sp.ConfigurationError, match="cannot be written to: found File exists"):
        sp.extract_package(package, tmp_path / "models", policy)


@pytest.mark.usefixtures("permissions_count")
def test_a_folder_below_that_cannot_be_looked_into(package: Path, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    hidden = tmp_path / "models/1"
    hidden.mkdir(parents=True)
    hidden.chmod(0)
    try:
        with pytest.raises(sp.ConfigurationError, match="Permission denied"):
            sp.extract_package(package, tmp_path / "models", policy)
    finally:
        hidden.chmod(0o700)
    assert _found(tmp_path / "models") == ["1"]


def test_hard_links_and_pipes_are_replaced_and_not_written_to(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy
) -> None:
    folder, victim = tmp_path / "models", tmp_path / "victim"
    folder.mkdir()
    victim.write_bytes(b"untouched")
    os.link(victim, folder / "model.pkl")
    os.mkfifo(folder / "a.txt")
    sp.extract_package(package, folder, policy)
    assert victim.read_bytes() == b"untouched"
    assert (folder / "a.txt").read_bytes() == FILES["a.txt"]


def _extract_by_a_process(package: Path, folder: Path, key: sp.SigningKey, *, before: str = "", by: str = "") -> int:
    """Extract in a process of its own. Return its exit status.

    Args:
        package: to be extracted.
        folder: to extract to.
        key: by which it is signed.
        before: Python that runs first.
        by: shell script that runs the command, which is its arguments.
    """
    script = (
        f"import os, sys, signed_parameters as sp\n{before}\n"
        "key = sp.VerificationKey.parse(sys.argv[3])\n"
        "sp.extract_package(sys.argv[1], sys.argv[2], sp.TrustPolicy(name='m', keys=[key]))\n"
    )
    command = [sys.executable, "-c", script, str(package), str(folder), str(key.verification_key)]
    shell = ["unshare", "-m", "bash", "-c", by, "bash"] if by else []
    return subprocess.run([*shell, *command], check=False, timeout=60).returncode


def test_what_a_killed_process_left_half_named_is_no_hindrance(
    package: Path, tmp_path: Path, policy: sp.TrustPolicy, key: sp.SigningKey
) -> None:
    """It is killed at the worst moment: a file has its first name, and not yet its last."""
    folder = tmp_path / "models"
    kill = "os.replace = lambda _, target: os.kill(os.getpid(), 9) if target.name == 'auc.png' else None"
    assert _extract_by_a_process(package, folder, key, before=kill) == -9
    assert list(folder.rglob(".incoming-*"))
    sp.extract_package(package, folder, policy)
    assert _found(folder) == ["a.txt", "model.pkl", "plots", "plots/auc.png"]


def test_a_machine_without_proc(package: Path, tmp_path: Path, key: sp.SigningKey) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can hide /proc from a process")
    hidden = 'mount -t tmpfs none /proc && exec "$@"'
    assert _extract_by_a_process(package, tmp_path / "models", key, by=hidden) == 0
    assert _found(tmp_path / "models") == ["a.txt", "model.pkl", "plots", "plots/auc.png"]


def test_more_files_than_may_be_open(make_package: Any, tmp_path: Path, policy: sp.TrustPolicy) -> None:
    package = make_package({f"files/{number}": b"x" for number in range(300)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with pytest.raises(sp.ConfigurationError, match=r"Too many open files.*ulimit -n"):
            sp.extract_package(package, tmp_path / "models", policy)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not (tmp_path / "models").exists()
