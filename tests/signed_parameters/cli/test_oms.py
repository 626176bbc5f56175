"""`oms sign`, `oms verify` and `oms unpack`."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Run = Callable[..., Any]
DOCUMENT = Path(__file__).parents[3] / "docs" / "interoperation.md"


def _write_keys(passphrase: str | None = None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    Path("private.pem").touch(0o600)
    Path("private.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    Path("public.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture
def model(signed: Run) -> Run:
    """As `signed`, where there are a key pair in PEM files and a folder `model`."""
    _write_keys()
    shutil.copytree("files", "model")
    return signed


def test_a_folder_is_signed_and_verified(model: Run) -> None:
    assert model("oms", "sign", "model", "--key", "private.pem").stdout == "signed model: model.sig\n"
    shown = model("oms", "verify", "model", "--key", "public.pem", "--signature", "model.sig").stdout
    assert shown.splitlines()[0] == "verified model: 2 files"
    assert "plots/auc.png" in shown
    answer = model.told(model("oms", "verify", "model", "--key", "public.pem", "--signature", "model.sig", "--json"))
    assert answer == {"verified": True, "files": ["model.pkl", "plots/auc.png"]}


def test_a_changed_folder_is_refused(model: Run) -> None:
    model("oms", "sign", "model", "--key", "private.pem", "--out", "s")
    Path("model/.git").mkdir()
    Path("model/.git/config").write_text("")
    verify = ("oms", "verify", "model", "--key", "public.pem", "--signature", "s")
    assert model(*verify, code=1).stderr.startswith("DigestMismatch: model holds files that its signature does not")
    model(*verify, "--unsigned", ".git")
    model("oms", "sign", "model", "--key", "private.pem", "--out", "s", "--unsigned", ".git")
    Path("model/model.pkl").write_text("x")
    assert model.told(model(*verify, "--unsigned", ".git", "--json", code=1))["error"] == "DigestMismatch"


def test_an_encrypted_key(model: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    passphrase = os.urandom(8).hex()
    _write_keys(passphrase)
    monkeypatch.delenv("SIGNING_KEY_PASSPHRASE", raising=False)
    sign = ("oms", "sign", "model", "--key", "private.pem")
    assert "Set SIGNING_KEY_PASSPHRASE" in model(*sign, code=2).stderr
    monkeypatch.setenv("SIGNING_KEY_PASSPHRASE", "another")
    assert "the passphrase that it is encrypted with" in model(*sign, code=2).stderr
    monkeypatch.setenv("SIGNING_KEY_PASSPHRASE", passphrase)
    assert passphrase not in model(*sign).output


def test_a_package_is_unpacked_with_a_bundle(model: Run) -> None:
    unpack = ("oms", "unpack", "p.zip", "unpacked", "--bundle-key", "private.pem")
    assert "NameMismatch" in model(*unpack, "--name", "n", "--key", "verification_key.txt", code=1).stderr
    assert not Path("unpacked").exists()
    shown = model(*unpack, *model.POLICY).stdout
    assert "unpacked unpacked: 2 files, signed in model.sig" in shown
    model("oms", "verify", "unpacked", "--key", "public.pem", "--signature", "unpacked/model.sig")
    assert "exists already" in model(*unpack, *model.POLICY, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["oms", "sign", "absent", "--key", "private.pem"], 2),
        (["oms", "sign", "model", "--key", "signing_key.json"], 2),
        (["oms", "sign", "model"], 2),
        (["oms", "verify", "model", "--key", "public.pem", "--signature", "absent"], 3),
        (["oms", "verify", "model", "--key", "public.pem", "--signature", "p.zip"], 1),
        (["oms", "verify", "model", "--key", "verification_key.txt", "--signature", "p.zip"], 2),
        (["oms", "unknown"], 2),
    ],
)
def test_what_is_not_usable(model: Run, arguments: list[str], code: int) -> None:
    assert model(*arguments, code=code).stdout == ""
    assert set(model.told(model(*arguments, "--json", code=code))) == {"error", "message"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the documented commands make keys with openssl")
def test_the_documented_commands(signed: Run) -> None:
    shutil.copytree("files", "model")
    signed("build", "model.zip", "files")
    signed("sign", "model.zip", "--key", "signing_key.json", "--name", "my_model", *signed.SIGNING[4:], "--serial", "1")
    section = DOCUMENT.read_text().partition("## OpenSSF")[2].partition("\n## ")[0]
    script = "".join(re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", script], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Verification succeeded") == 2
