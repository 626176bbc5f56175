"""The command as a whole: its help, its usage errors, the installed script."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.cli import main

Run = Callable[..., Any]
POLICY = ("--name", "m", "--key", "verification_key.txt")
SIGNING = ("--key", "signing_key.json", "--name", "m", "--version", "0.1.0", "--parameters-version", "1")


def test_every_command_explains_itself(run: Run) -> None:
    for name in main.commands:
        assert "--json" in run(name, "--help").stdout


def test_the_installed_command_runs(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("signed-parameters")
    for arguments, code, says in [
        (["--version"], 0, sp.__version__),
        (["keygen"], 0, "key id"),
        (["keygen"], 2, "ConfigurationError: signing key signing_key.json exists already"),
        (["inspect", "missing.zip"], 3, "NotFound"),
        (["inspect"], 2, "Missing argument"),
    ]:
        done = subprocess.run([command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == code
        assert says in (done.stderr if code else done.stdout)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["keygen", "--algorithm", "rsa"],
        ["sign", "p.zip", *SIGNING, "--serial", "-1"],
        ["sign", "p.zip", *SIGNING, "--serial", "seven"],
        ["sign", "p.zip", *SIGNING, "--serial", "8", "--digest", "md5"],
        ["sign", "p.zip"],
        ["verify", "p.zip", "--name", "m"],
        ["verify", "p.zip", *POLICY, "--unknown"],
        ["build", "p.zip"],
        ["unknown"],
    ],
)
def test_a_usage_error_is_told_in_the_form_that_was_asked_for(signed: Run, arguments: list[str]) -> None:
    result = signed(*arguments, code=2)
    assert result.stdout == ""
    assert "Error: " in result.stderr
    answer = signed.told(signed(*arguments, "--json", code=2))
    assert answer["error"] == "UsageError"
    assert answer["message"] in " ".join(result.stderr.split()).replace("Error: ", "")
