"""`verify --inline`, and the way from the older form to packages."""

import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import Signer

import signed_parameters as sp

Run = Callable[..., Any]
DOCUMENT = Path(__file__).parents[3] / "docs" / "interoperation.md"
PICKLE = pickle.dumps(OrderedDict(a=1.5))


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """The secret of old, which the environment has."""
    secret = os.urandom(16).hex()
    monkeypatch.setenv("PARAMETERS_SECRET", secret)
    return secret


def _old_zip(secret: str, data: bytes = PICKLE) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("signed_model.pkl", Signer(secret).sign(data))
    return file.getvalue()


@pytest.fixture
def old(run: Run, secret: str) -> Run:
    """As `run`, where there is an `old.zip`."""
    Path("old.zip").write_bytes(_old_zip(secret))
    return run


def test_it_warns_and_shows_what_the_pickle_would_import(old: Run, secret: str) -> None:
    result = old("verify", "old.zip", "--inline", "--key", "env:PARAMETERS_SECRET")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("WARNING: the older inline form binds no name, version or age")
    assert lines[1] == f"verified old.zip: signed_model.pkl, {len(PICKLE)} bytes, is signed with this secret"
    assert lines[2] == "signed_model.pkl needs  collections:OrderedDict"
    assert secret not in result.output


def test_it_answers_with_an_object(old: Run) -> None:
    answer = old.told(old("verify", "--inline", "old.zip", "--key", "env:PARAMETERS_SECRET", "--json"))
    assert answer["warnings"][0].startswith("WARNING: ")
    assert (answer["verified"], answer["form"], answer["out"]) == (True, "inline", None)
    assert (answer["bytes"], answer["globals"]) == (len(PICKLE), ["collections:OrderedDict"])


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_secret_in_a_file(old: Run, secret: str, ending: str) -> None:
    path = Path("secret.txt")
    path.touch(0o600)
    path.write_bytes((secret + ending).encode())
    old("verify", "old.zip", "--inline", "--key", "secret.txt")
    path.chmod(0o644)
    assert "open to others" in old("verify", "old.zip", "--inline", "--key", "secret.txt", code=2).stderr


@pytest.mark.parametrize(
    ("content", "source"),
    [(None, "env:ABSENT"), (None, "absent.txt"), (b"\xff\xfe", "secret.txt"), (b"\n", "secret.txt")],
)
def test_a_secret_that_is_not_usable(old: Run, content: bytes | None, source: str) -> None:
    if content is not None:
        Path(source).touch(0o600)
        Path(source).write_bytes(content)
    result = old("verify", "old.zip", "--inline", "--key", source, code=2)
    assert result.stderr.startswith("ConfigurationError: ")
    assert "keygen" not in result.stderr


def test_the_pickle_is_written_for_a_package(old: Run) -> None:
    old("verify", "old.zip", "--inline", "--key", "env:PARAMETERS_SECRET", "--out", "model.pkl")
    assert Path("model.pkl").read_bytes() == PICKLE
    again = old("verify", "old.zip", "--inline", "--key", "env:PARAMETERS_SECRET", "--out", "model.pkl", code=2)
    assert "model.pkl cannot be written" in again.stderr


@pytest.mark.parametrize("data", [PICKLE, b"cposix\nsystem\n(S'exit 1'\ntR."])
def test_what_is_refused_is_not_written(old: Run, secret: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    if data == PICKLE:
        monkeypatch.setenv("PARAMETERS_SECRET", secret + "x")
    Path("old.zip").write_bytes(_old_zip(secret, data))
    result = old("verify", "old.zip", "--inline", "--key", "env:PARAMETERS_SECRET", "--out", "model.pkl", code=1)
    assert result.stderr.startswith("BadSignature: " if data == PICKLE else "UnsafePickle: ")
    assert not Path("model.pkl").exists()


def test_it_is_read_when_it_is_asked_for_only(old: Run) -> None:
    assert "no envelope" in old("verify", "old.zip", "--name", "m", "--key", str(_key()), code=3).stderr
    usage = old("verify", "old.zip", "--inline", "--key", "env:PARAMETERS_SECRET", "--name", "m", code=2)
    assert "No such option" in usage.stderr
    assert "Missing option" in old("verify", "old.zip", "--inline", code=2).stderr
    assert old.told(old("verify", "old.zip", "--inline", "--json", code=2))["error"] == "UsageError"
    old("push", "old.zip", "models", code=3)


def test_both_helps_speak_of_it(run: Run) -> None:
    assert "--inline" in run("verify", "--help").stdout
    shown = run("verify", "--inline", "--help").stdout
    assert "verify --inline [OPTIONS] PACKAGE" in shown
    assert "--out" in shown


def test_the_documented_way_to_packages(old: Run, tmp_path: Path) -> None:
    section = DOCUMENT.read_text().partition("## Moving from the inline form")[2]
    (script,) = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", script], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    key = sp.VerificationKey.parse(Path("verification_key.txt").read_text())
    with sp.verify_package("model.zip", sp.TrustPolicy(name="my_model", keys=[key])) as package:
        assert package.load_pickle("model.pkl") == OrderedDict(a=1.5)


def _key() -> sp.VerificationKey:
    return sp.SigningKey.generate().verification_key
