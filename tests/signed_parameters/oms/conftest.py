"""Keys for OpenSSF model signing, folders to sign, and its own command."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from signed_parameters import oms


@dataclass(frozen=True)
class PemPair:
    """The files of a key pair."""

    private: Path
    public: Path


MakePair = Callable[..., PemPair]


@pytest.fixture
def make_pair(tmp_path: Path) -> MakePair:
    """`make_pair("name", key, password)` writes a key pair; by default a new one on P-256."""

    def make(name: str, key: PrivateKeyTypes | None = None, password: bytes | None = None) -> PemPair:
        key = key or ec.generate_private_key(ec.SECP256R1())
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        pair = PemPair(tmp_path / f"{name}.private.pem", tmp_path / f"{name}.public.pem")
        pair.private.touch(0o600)
        pair.private.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        pair.public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return pair

    return make


@pytest.fixture
def pair(make_pair: MakePair) -> PemPair:
    return make_pair("signer")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, one below another folder."""
    path = tmp_path / "model"
    (path / "plots").mkdir(parents=True)
    (path / "model.onnx").write_bytes(b"a graph")
    (path / "plots" / "auc.png").write_bytes(b"an image")
    return path


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def model_signing(tmp_path: Path) -> Command:
    """`model_signing("verify", "key", ...)` runs the command of the library in `tmp_path`."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def signature(folder: Path, pair: PemPair) -> Path:
    """A bundle of `folder`, beside it."""
    return oms.sign_folder(folder, pair.private, folder.with_name("model.sig"))
