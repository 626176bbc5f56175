"""A terminal in an empty folder, where commands are run."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from signed_parameters.cli import main

PICKLE = b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R."


class Terminal:
    """Runs commands, and expects no traceback whatever happens.

    Attributes:
        POLICY: options for the policy that the package of `signed` meets.
        SIGNING: options that it was signed with, but for the serial.
    """

    POLICY = ("--name", "m", "--key", "verification_key.txt")
    SIGNING = ("--key", "signing_key.json", "--name", "m", "--version", "0.1.0", "--parameters-version", "1")

    def __call__(self, *arguments: str, code: int = 0, typed: str | None = None) -> Result:
        """Run a command that is expected to end with an exit status; `typed` is what somebody types."""
        result = CliRunner().invoke(main, arguments, input=typed)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == code, result.output
        return result

    @staticmethod
    def told(result: Result) -> Any:
        """Return the one JSON object that a command answered with."""
        assert result.stdout.count("\n") == 1
        assert result.stderr == ""
        return json.loads(result.stdout)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """`run("keygen", ...)` runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    return Terminal()


@pytest.fixture
def signed(run: Terminal) -> Terminal:
    """As `run`, where there are a key and a signed package `p.zip` of a folder with a pickle."""
    Path("files/plots").mkdir(parents=True)
    Path("files/model.pkl").write_bytes(PICKLE)
    Path("files/plots/auc.png").write_bytes(b"an image")
    run("keygen")
    run("build", "p.zip", "files")
    run("sign", "p.zip", *run.SIGNING, "--serial", "7")
    return run


@pytest.fixture
def bucket(s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, run: Terminal) -> str:
    """A bucket that the environment leads to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    return s3_bucket
