"""The examples run as their README says, in an empty folder, and their documents show what runs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

import signed_parameters as sp

EXAMPLES = Path(__file__).parents[1] / "examples"


def _run(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", EXAMPLES / "lightgbm_regressor.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_the_lightgbm_example_signs_loads_and_refuses(tmp_path: Path) -> None:
    done = _run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    signed, loaded, refused = done.stdout.splitlines()
    (package,) = tmp_path.glob("signed_models/progression-0.1.0-*.zip")
    assert signed == f"signed   {package.relative_to(tmp_path)}"
    assert loaded.startswith("loaded   mean error ")
    assert loaded.endswith("as before signing: yes")
    assert "is not what was signed" in refused
    assert re.match(r"refused  .*expected blake3:[0-9a-f]{64}, found blake3:[0-9a-f]{64}", refused)


def test_the_lightgbm_example_fails_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "signed_models").write_text("a file")
    done = _run(tmp_path)
    assert done.returncode != 0
    assert "signed_models" in done.stderr


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (EXAMPLES / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    names: dict[str, Any] = {"sp": sp, "model": LinearRegression().fit([[0.0], [1.0], [2.0]], [0, 1, 2])}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert list(tmp_path.rglob("*.dsse.json"))
