"""The scripts that run while an image is built."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "deployment"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"12345")


def _files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_what_is_unused_is_removed_and_counted(tmp_path: Path) -> None:
    kept = (
        "numpy/core/multiarray.py",
        "numpy/testing/__init__.py",
        "numpy/core/_multiarray_tests.x.so",
        "a/contest.py",
    )
    _touch(tmp_path, *kept, "numpy/core/tests/test_a.py", "a/b.pyi", "bin/uvicorn", "numpy/f2py/tests/x.py")
    _touch(tmp_path, "boto3/examples/a.rst", "botocore/data/iam/2010-05-08/examples-1.json")
    removed = _module("remove_unused").remove(tmp_path)
    assert _files(tmp_path) == set(kept)
    assert sum(removed.values()) == 30
    assert removed["commands"] == 5


def test_installers_and_rights_are_taken_away(tmp_path: Path) -> None:
    site = "usr/local/lib/python3.11/site-packages"
    kept = ("usr/bin/python3", "usr/bin/su", f"{site}/pipeline.py", "usr/share/wheelhouse")
    _touch(tmp_path, *kept, "usr/local/bin/pip3.11", f"{site}/pip/main.py", f"{site}/setuptools-65.dist-info/RECORD")
    _touch(tmp_path, "usr/lib/python3.11/ensurepip/__init__.py", "usr/share/python-wheels/pip-23-py3-none-any.whl")
    (tmp_path / "usr/bin/su").chmod(0o6755)
    module = _module("harden")
    assert list(module.privileged(tmp_path)) == [tmp_path / "usr/bin/su"]
    module.harden(tmp_path)
    assert _files(tmp_path) == set(kept)
    assert (tmp_path / "usr/bin/su").stat().st_mode & 0o7777 == 0o755


def test_what_apt_leaves_behind_is_removed_but_licences(tmp_path: Path) -> None:
    kept = ("usr/bin/git", "usr/share/doc/git/copyright", "var/lib/dpkg/status", "usr/share/git-core/templates/x")
    _touch(tmp_path, *kept, "usr/share/doc/git/README.gz", "usr/share/locale/de/git.mo", "var/log/dpkg.log")
    _touch(tmp_path, "var/lib/apt/lists/mirror", "var/cache/apt/archives/git.deb")
    _module("add_programs").clean(tmp_path)
    assert _files(tmp_path) == set(kept)


def test_a_user_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    add = _module("add_user").add
    add(tmp_path, "promotion")
    lines = (tmp_path / "etc/passwd").read_text().splitlines()
    assert lines[1] == "promotion:x:10001:10001::/nonexistent:/usr/sbin/nologin"
    assert (tmp_path / "etc/group").read_text() == "root:x:0:\npromotion:x:10001:\n"
    for name in ("promotion", "another", "root"):
        with pytest.raises(ValueError, match="already"):
            add(tmp_path, name)


def test_bytecode_is_bound_to_the_source_by_its_hash(tmp_path: Path) -> None:
    _touch(tmp_path, "tree/alone.py")
    (tmp_path / "tree" / "alone.py").write_text("value = 1\n")
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"),
        "PYTHONPATH": str(tmp_path / "tree"),
    }
    command = [sys.executable, str(FOLDER / "write_bytecode.py"), "--tree", str(tmp_path / "tree"), "json"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    compiled = [path for path in (tmp_path / "bytecode").rglob("*.pyc") if path.name.startswith("alone.")]
    assert [int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled] == [
        0b11
    ]  # a hash, and it is checked
    assert any(path.name.startswith("decoder.") for path in (tmp_path / "bytecode").rglob("*.pyc"))
    (tmp_path / "tree" / "alone.py").write_text("value = 2\n")
    run = subprocess.run(
        [sys.executable, "-B", "-c", "import alone; print(alone.value)"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.stdout == "2\n"


def test_without_a_folder_no_bytecode_is_written(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    command = [sys.executable, str(FOLDER / "write_bytecode.py"), "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "PYTHONPYCACHEPREFIX" in done.stderr


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_a_script_needs_the_standard_library_only(script: Path) -> None:
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='read')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True)
