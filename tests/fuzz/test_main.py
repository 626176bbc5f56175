"""The command that fuzzes, run as it is, on harnesses with a planted fault and without one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_HARNESS = """
from planted.target import search
from tests.fuzz.harness import Harness

HARNESS = Harness(("planted.target",), lambda: [b"seed", b"F"], search)
"""
_TARGET = """
def search(data):
    if data[:1] == b"F":
        if data[1:2] == b"U":
            if data[2:3] == b"Z":
                {fault}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "modules" / "planted"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, fault in (("faulty", "data.no_such_thing"), ("clean", "data.hex()")):
        (package / f"{name}_target.py").write_text(_TARGET.format(fault=fault))
        (package / f"{name}.py").write_text(_HARNESS.replace("target", f"{name}_target"))
    return tmp_path


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("fuzz_*.py")), ids=lambda path: path.stem)
def test_each_harness_names_modules_that_exist(path: Path) -> None:
    harness = importlib.import_module(f"tests.fuzz.{path.stem}").HARNESS
    assert harness.modules
    for name in harness.modules:
        assert importlib.util.find_spec(name) is not None


def _run(folder: Path, *arguments: str, module: str = "tests.fuzz") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(folder / "modules")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_planted_fault_is_found_saved_and_seen_again(folder: Path) -> None:
    done = _run(folder, "planted.faulty", "--seconds", "30", "--folder", str(folder / "found"))
    assert done.returncode == 1, done.stdout + done.stderr
    (saved,) = (folder / "found" / "faulty").glob("crash-*")
    assert saved.read_bytes().startswith(b"FUZ")
    assert f"run it again: python -m tests.fuzz.drive planted.faulty {saved}" in done.stdout
    again = _run(folder, "planted.faulty", str(saved), module="tests.fuzz.drive")
    assert again.returncode != 0
    assert "no_such_thing" in again.stdout + again.stderr


def test_an_input_that_kills_the_interpreter_is_saved(folder: Path) -> None:
    """By a signal that libFuzzer cannot catch: it saves nothing then."""
    target = folder / "modules" / "planted" / "faulty_target.py"
    target.write_text(_TARGET.format(fault="import os; os.kill(os.getpid(), 9)"))
    done = _run(folder, "planted.faulty", "--seconds", "30", "--folder", str(folder / "found"))
    assert done.returncode == 1, done.stdout + done.stderr
    (saved,) = (folder / "found" / "faulty").glob("crash-*")
    assert saved.read_bytes().startswith(b"FUZ")


def test_an_input_that_never_comes_to_an_end_is_saved(folder: Path) -> None:
    target = folder / "modules" / "planted" / "faulty_target.py"
    target.write_text(_TARGET.format(fault="all(True for _ in iter(int, 1))"))
    done = _run(folder, "planted.faulty", "--seconds", "30", "--folder", str(folder / "found"))
    assert done.returncode == 1, done.stdout + done.stderr
    (saved,) = (folder / "found" / "faulty").glob("timeout-*")
    assert saved.read_bytes().startswith(b"FUZ")


def test_where_there_is_no_fault_it_says_what_was_tried(folder: Path) -> None:
    done = _run(folder, "planted.clean", "--seconds", "2", "--folder", str(folder / "found"))
    assert done.returncode == 0, done.stdout + done.stderr
    _, tried, reached = done.stdout.splitlines()
    assert int(tried.split()[0]) > 100
    assert reached.endswith("lines reached: planted.clean_target 4 of 4")
    assert {path.name for path in (folder / "found" / "clean").iterdir()} == {"corpus", "log.txt"}


def test_a_fault_that_another_run_left_in_the_corpus_is_found(folder: Path) -> None:
    corpus = folder / "found" / "faulty" / "corpus"
    corpus.mkdir(parents=True)
    (corpus / "old").write_bytes(b"FUZZ")
    done = _run(folder, "planted.faulty", "--seconds", "2", "--folder", str(folder / "found"))
    assert done.returncode == 1, done.stdout + done.stderr


def test_without_atheris_it_says_so(folder: Path) -> None:
    (folder / "modules" / "atheris.py").write_text("raise ImportError('built for another Python')")
    done = _run(folder, "planted.clean", "--seconds", "2", "--folder", str(folder / "found"))
    assert done.returncode == 3
    assert "so nothing was fuzzed" in done.stdout


@pytest.mark.parametrize("arguments", [("no_such_harness",), ("no.such",), ("--seconds", "0"), ("--seconds", "soon")])
def test_wrong_usage_is_refused(folder: Path, arguments: tuple[str, ...]) -> None:
    done = _run(folder, *arguments, "--folder", str(folder / "found"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (folder / "found").exists()
