"""What `Try it` of docs/promotion.md tells people to type works as it stands there, in a copy of the checkout.

Two things differ: the port of MLflow is a free one, and what is trained was trained before and is registered only.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diabetes_risk_model.cli import main
from signed_parameters.child_process import ChildProcess
from tests.diabetes_risk_model.promotion.conftest import GIT, ROOT

SECTION = (ROOT / "docs" / "promotion.md").read_text().partition("\n## Try it\n")[2].partition("\n### ")[0]
LEFT_OUT = shutil.ignore_patterns(".*", "build", "__pycache__", "docs", "notebooks", "tests")
PORT = "127.0.0.1:5000"
SECONDS = 1_800.0
_REFUSED = re.compile(r"([A-Z][a-z]+){2,}: ")
_MARK = "@@ block"


@dataclass
class Block:
    """What is to be typed, and what the document says that it prints."""

    script: str
    shown: str = ""

    @property
    def status(self) -> int:
        """The exit status that the reader is told to expect."""
        return 1 if _REFUSED.match(self.shown) else 0


def blocks() -> list[Block]:
    found: list[Block] = []
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append(Block(text))
        else:
            assert language == "text"
            assert not found[-1].shown
            found[-1].shown = text
    return found


def shows(block: Block, printed: str) -> bool:
    """Tell whether all lines that the document shows were printed, in their order; dots stand for anything."""
    lines = (re.escape(line.strip()).replace(r"\.\.\.", ".*") for line in block.shown.splitlines())
    return re.search(r"^\s*" + r"$(?:\n.*)*?\n\s*".join(lines) + "$", printed, re.MULTILINE) is not None


@pytest.fixture
def checkout(tmp_path: Path, trained_model) -> Path:
    """A copy of the checkout, with a trained model in the folder `trained`."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    (copy / ".venv").symlink_to(Path(sys.executable).parents[1])
    trained = copy / "trained"
    trained.mkdir()
    for name, path in trained_model.files.items():
        shutil.copy(path, trained / name)
    (trained / "metrics.json").write_text(json.dumps({"held_out": {"AUC": 0.8}}))
    return copy


@pytest.fixture
def registry(checkout: Path) -> Iterator[ChildProcess]:
    """What `make registry` runs, on a free port."""
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    module = "diabetes_risk_model.promotion.local_registry"
    command = [sys.executable, "-u", "-m", module, "build/registry", "--port", "0"]
    with ChildProcess(command, {**os.environ, "PYTHONPATH": str(checkout)}, folder=checkout) as running:
        assert running.wait_for_line("MLflow is at", SECONDS), running.log()
        yield running


def instead_of_training(script: str) -> str:
    """Check what the document says of training; return what takes its place."""
    command = shlex.split(script)
    assert command[:2] == ["diabetes-risk-model", "train"]
    options = main.commands["train"].make_context("train", command[2:]).params
    assert (options["track"], options["source"], options["profile"]) == (True, "embedded", "quick")
    register = f"diabetes-risk-model promote register build/artefacts --key {options['key']}"
    return f"cp -r trained build/artefacts\n{register}\n"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
def test_every_block_works_as_it_stands_there_one_after_the_other(checkout, registry):
    start, *typed = blocks()
    assert start.script == "make registry\n"
    assert "promotion.local_registry $(or $(FOLDER),build/registry)" in (checkout / "Makefile").read_text()
    printed = registry.log(10)
    port = re.search(r"MLflow is at http://(\S+),", printed)
    assert port is not None
    assert shows(start, printed.replace(port[1], PORT)), printed
    exports = [line for line in printed.splitlines() if line.startswith("export ")]
    assert len(exports) == 4

    script = ["exec 2>&1", *exports]
    for number, block in enumerate(typed):
        text = instead_of_training(block.script) if " train " in block.script else block.script
        run = text.replace(PORT, port[1])
        script.append(f"echo '{_MARK} {number}'\n" + (run if block.status else f"set -e\n{run}set +e"))
        script.append(f'status=$?; [ "$status" = {block.status} ] || {{ echo "exit status $status"; exit 9; }}')
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=checkout,
        env={**os.environ, **GIT, "PYTHONPATH": str(checkout), "HOME": str(checkout.parent)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    said = re.split(rf"^{_MARK} \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(said) == len(typed)
    for block, output in zip(typed, said, strict=True):
        if block.shown:
            assert shows(block, output), f"{block.script}prints\n{output}"
