"""What a bundle of OpenSSF model signing does not say and a statement of ours does, as in docs/interoperation.md."""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from model_signing import signing, verifying

import signed_parameters as sp
from signed_parameters import oms

MakePackage = Callable[..., Path]
Refused = Callable[..., Any]
ROOT = Path(__file__).parents[3]
CONTENT = {"model.onnx": b"a graph"}


@pytest.fixture
def passes(pair: Any, tmp_path: Path) -> Callable[[Path], None]:
    """`passes(folder)` verifies a folder with the library as it stands, which raises where it refuses."""

    def verify(folder: Path) -> None:
        verifying.Config().use_elliptic_key_verifier(public_key=pair.public).verify(folder, tmp_path / "s")

    return verify


@pytest.fixture
def bundle(folder: Path, pair: Any, tmp_path: Path) -> Path:
    """A bundle of `folder`, which the library itself made."""
    signing.Config().use_elliptic_key_signer(private_key=pair.private).sign(folder, tmp_path / "s")
    return tmp_path / "s"


def test_a_changed_file_is_refused_by_both(
    folder: Path, bundle: Path, passes: Any, make_package: MakePackage, policy: sp.TrustPolicy, refused: Refused
) -> None:
    passes(folder)
    (folder / "model.onnx").write_bytes(b"evil")
    with pytest.raises(ValueError, match="Hash mismatch"):
        passes(folder)
    package = make_package(CONTENT)
    package.write_bytes(package.read_bytes().replace(b"a graph", b"evil   "))
    with refused(sp.DigestMismatch):
        sp.verify_package(package, policy)


def test_a_model_in_the_place_of_another(
    folder: Path, bundle: Path, passes: Any, make_package: MakePackage, key: sp.SigningKey, refused: Refused
) -> None:
    passes(folder.rename(folder.with_name("another-model")))
    package = make_package(CONTENT, name="another-model.zip")
    with refused(sp.NameMismatch):
        sp.verify_package(package, sp.TrustPolicy(name="another-model", keys=[key.verification_key]))


def test_an_older_model_put_back(
    folder: Path, bundle: Path, passes: Any, make_package: MakePackage, key: sp.SigningKey, refused: Refused
) -> None:
    old = {path: path.read_bytes() for path in (folder / "model.onnx", bundle)}
    (folder / "model.onnx").write_bytes(b"a better graph")
    with pytest.raises(ValueError, match="Hash mismatch"):
        passes(folder)
    for path, data in old.items():
        path.write_bytes(data)
    passes(folder)
    with refused(sp.RolledBack):
        sp.verify_package(
            make_package(CONTENT, serial=1), sp.TrustPolicy(name="m", keys=[key.verification_key], minimum_serial=2)
        )


def test_a_model_whose_time_is_over(
    bundle: Path, make_package: MakePackage, policy: sp.TrustPolicy, refused: Refused
) -> None:
    payload = base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"]).decode()
    assert "resources" in payload
    assert not re.search(r"20[0-9]{2}-[0-9]{2}|expire|created|time", payload)
    package = make_package(CONTENT, expires_in=timedelta(days=1))
    with refused(sp.Expired):
        sp.verify_package(package, policy, now=datetime.now(UTC) + timedelta(days=2))


def test_a_file_planted_where_the_library_does_not_look(
    folder: Path, pair: Any, bundle: Path, passes: Any, refused: Refused
) -> None:
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / ".git" / "hooks" / "post-checkout").write_text("#!/bin/sh")
    passes(folder)
    with refused(sp.DigestMismatch, match="post-checkout"):
        oms.verify_folder(folder, pair.public, bundle)
    with refused(sp.ConfigurationError):
        sp.build_package(folder.with_name("p.zip"), {".git/hooks/post-checkout": folder / "model.onnx"})


def test_a_file_that_changes_between_verifying_and_loading(
    folder: Path, bundle: Path, passes: Any, make_package: MakePackage, policy: sp.TrustPolicy, refused: Refused
) -> None:
    passes(folder)
    (folder / "model.onnx").write_bytes(b"evil")
    assert (folder / "model.onnx").read_bytes() == b"evil", "what a loader that opens the file now would get"
    path = make_package(CONTENT)
    with sp.verify_package(path, policy) as package:
        with path.open("r+b") as file:
            file.seek(path.read_bytes().index(b"a graph"))
            file.write(b"evil   ")
        with refused(sp.DigestMismatch):
            package.read("model.onnx")


def test_the_library_takes_no_ed25519_key(folder: Path, make_pair: Any, tmp_path: Path) -> None:
    pair = make_pair("ed25519", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(AttributeError, match="curve"):
        signing.Config().use_elliptic_key_signer(private_key=pair.private)


def test_every_claim_names_a_test_that_is_here() -> None:
    table = (ROOT / "docs" / "interoperation.md").read_text().partition("## OpenSSF")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", table))
    here = {name for name in globals() if name.startswith("test_")}
    assert named == here - {"test_every_claim_names_a_test_that_is_here"}
