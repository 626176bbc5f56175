import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import signed_parameters as sp
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.envelope import Envelope
from signed_parameters.statement import Statement

Make = Callable[..., Path]
WHAT: dict[str, Any] = {"name": "m", "version": "0.1.0", "parameters_version": "1", "serial": 1}


def _statement(package: Path) -> Statement:
    return Statement.from_payload(Envelope.from_bytes(Path(f"{package}.dsse.json").read_bytes()).payload)


def test_the_envelope_is_put_beside_the_package(make_package: Make, key: sp.SigningKey) -> None:
    package = make_package({"a": b"1"})
    assert sp.sign_package(package, key=key, **WHAT) == package.with_name("package.zip.dsse.json")
    assert sorted(path.name for path in package.parent.glob("*.*") if path.is_file()) == [
        "package.zip",
        "package.zip.dsse.json",
    ]


def test_the_statement_says_what_the_package_is(make_package: Make) -> None:
    package = make_package({"model.pkl": pickle.dumps(np.arange(3), 4), "a": b"1"}, expires_in=timedelta(days=1))
    statement = _statement(package)
    assert (statement.files[0].name, statement.files[0].size) == ("a", 1)
    assert statement.package_size == package.stat().st_size
    assert set(statement.pickles) == {"model.pkl"}
    assert "numpy:ndarray" in statement.pickles["model.pkl"]
    assert statement.runtime["numpy"] == np.__version__
    assert statement.expires == statement.created + timedelta(days=1)


@pytest.mark.parametrize("digest", list(DigestAlgorithm))
def test_either_digest_can_be_asked_for(make_package: Make, policy: sp.TrustPolicy, digest: str) -> None:
    package = make_package({"a": b"1"}, digest=digest)
    with sp.verify_package(package, policy) as verified:
        assert {file.digest.algorithm for file in verified.statement.files} == {digest}
        assert verified.read("a") == b"1"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("name", "", "name"),
        ("name", "a b", "name"),
        ("name", "../m", "name"),
        ("version", "", "version"),
        ("parameters_version", "2026/11", "parameters_version"),
        ("parameters_version", 20261121, "parameters_version"),
        ("serial", -1, "serial"),
        ("serial", "1", "serial"),
        ("serial", 2**53, "serial"),
        ("expires_in", timedelta(0), "expires before it was created"),
        ("expires_in", timedelta(days=-1), "expires before it was created"),
        ("expires_in", timedelta.max, "before the year 10000"),
        ("digest", "md5", "digest algorithm is unknown: expected blake3 or sha256, found 'md5'"),
        ("libraries", {"x": "1\n2"}, "runtime"),
    ],
)
def test_a_value_that_is_not_usable_is_refused(
    make_package: Make, key: sp.SigningKey, setting: str, value: object, message: str
) -> None:
    package = make_package({"a": b"1"})
    before = Path(f"{package}.dsse.json").read_bytes()
    with pytest.raises(sp.ConfigurationError, match=message):
        sp.sign_package(package, key=key, **{**WHAT, setting: value})
    assert Path(f"{package}.dsse.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("missing.zip", sp.NotFound),
        ("missing/package.zip", sp.NotFound),
        ("fifo", sp.StorageError),
        ("folder", sp.StorageError),
        ("/dev/zero", sp.StorageError),
    ],
)
def test_what_is_no_file_is_not_signed(
    tmp_path: Path, key: sp.SigningKey, name: str, error: type[sp.SignedParametersError]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=name):
        sp.sign_package(tmp_path / name, key=key, **WHAT)


def test_a_zip_of_another_hand_is_not_signed(tmp_path: Path, key: sp.SigningKey) -> None:
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        archive.writestr("a", b"1")
    with pytest.raises(sp.MalformedPackage, match="signed-parameters build"):
        sp.sign_package(tmp_path / "package.zip", key=key, **WHAT)
    assert not (tmp_path / "package.zip.dsse.json").exists()


def test_a_package_in_another_order_is_not_signed(tmp_path: Path, key: sp.SigningKey, workshop: Any) -> None:
    (tmp_path / "package.zip").write_bytes(workshop.archive({"b": b"2", "a": b"1"}))
    with pytest.raises(sp.MalformedPackage):
        sp.sign_package(tmp_path / "package.zip", key=key, **WHAT)


def test_a_package_whose_envelope_could_not_be_verified_is_not_signed(make_package: Make) -> None:
    files = {f"{'long' * 50}/{number:04}": b"" for number in range(3_000)}
    with pytest.raises(sp.ConfigurationError, match="too large to be verified"):
        make_package(files)


def test_an_envelope_that_cannot_be_written(make_package: Make, key: sp.SigningKey) -> None:
    package = make_package({"a": b"1"})
    envelope = Path(f"{package}.dsse.json")
    envelope.unlink()
    envelope.mkdir()
    with pytest.raises(sp.ConfigurationError, match="cannot be written"):
        sp.sign_package(package, key=key, **WHAT)
    assert [path for path in package.parent.iterdir() if path.name.startswith(".")] == []


def test_a_link_in_the_place_of_the_envelope_is_replaced_not_followed(make_package: Make, key: sp.SigningKey) -> None:
    package = make_package({"a": b"1"})
    envelope, victim = Path(f"{package}.dsse.json"), package.with_name("victim")
    victim.write_text("precious")
    envelope.unlink()
    envelope.symlink_to(victim)
    sp.sign_package(package, key=key, **WHAT)
    assert victim.read_text() == "precious"
    assert not envelope.is_symlink()


def test_the_envelope_can_be_read_by_others_and_not_written(make_package: Make) -> None:
    envelope = Path(f"{make_package({'a': b'1'})}.dsse.json")
    assert stat.S_IMODE(envelope.stat().st_mode) == 0o644


def test_the_secret_is_not_in_the_envelope(make_package: Make, hmac_key: sp.SigningKey) -> None:
    content = Path(f"{make_package({'a': b'1'}, key=hmac_key)}.dsse.json").read_bytes()
    assert hmac_key.private_key not in content
    assert str(hmac_key.verification_key).partition(":")[2].encode() not in content
