import os
import pickle
import stat
import sys
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import signed_parameters as sp
from signed_parameters import signing
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.envelope import Envelope
from signed_parameters.layout import Entry, check_layout
from signed_parameters.package import BuiltPackage
from signed_parameters.statement import Statement

Make = Callable[..., Path]
WHAT: dict[str, Any] = {"name": "m", "version": "0.1.0", "parameters_version": "1", "serial": 1}
CREATED = datetime(2026, 11, 21, tzinfo=UTC)


def _statement(package: Path) -> Statement:
    return Statement.from_payload(Envelope.from_bytes(Path(f"{package}.dsse.json").read_bytes()).payload)


def _build(folder: Path, files: dict[str, bytes], name: str = "package.zip") -> BuiltPackage:
    sources = folder / f"{name}.files"
    sources.mkdir()
    for number, data in enumerate(files.values()):
        (sources / str(number)).write_bytes(data)
    return sp.build_package(folder / name, {file: sources / str(number) for number, file in enumerate(files)})


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


@pytest.mark.parametrize("digest", list(DigestAlgorithm))
def test_what_was_built_gets_the_same_statement_as_its_path(
    tmp_path: Path, key: sp.SigningKey, policy: sp.TrustPolicy, digest: str
) -> None:
    files = {"b.pkl": pickle.dumps([1]), "a": os.urandom(3 << 20), "empty": b""}
    built = _build(tmp_path, files)
    statements = []
    for package in (built, Path(built), str(built)):
        sp.sign_package(package, key=key, digest=digest, **WHAT)
        statements.append(_statement(built).model_copy(update={"created": CREATED}))
        with sp.verify_package(built, policy) as verified:
            assert {name: verified.read(name) for name in verified.names} == files
    assert statements[0] == statements[1] == statements[2]


@pytest.mark.parametrize("how", ["what was built", "path"])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_package_is_read_once(tmp_path: Path, key: sp.SigningKey, how: str) -> None:
    built = _build(tmp_path, {name: os.urandom(5 << 20) for name in "abc"})
    sp.sign_package(built, key=key, **WHAT)  # once before, for what is imported at the first time
    before = _bytes_read()
    sp.sign_package(built if how == "what was built" else str(built), key=key, **WHAT)
    assert _bytes_read() - before < built.stat().st_size + 100_000


@pytest.mark.parametrize("change", ["a byte", "another package", "cut", "longer", "empty"])
def test_what_was_exchanged_after_it_was_built_is_not_signed(
    tmp_path: Path, key: sp.SigningKey, policy: sp.TrustPolicy, change: str
) -> None:
    built = _build(tmp_path, {"a": b"good"})
    other = _build(tmp_path, {"a": b"evil"}, "other.zip").read_bytes()
    data = built.read_bytes()
    changed = {
        "a byte": data.replace(b"good", b"Good"),
        "another package": other,
        "cut": data[:-1],
        "longer": data + b"x",
        "empty": b"",
    }
    built.write_bytes(changed[change])
    with pytest.raises(sp.DigestMismatch, match=r"not the package that was built: expected blake3:.*found blake3:"):
        sp.sign_package(built, key=key, **WHAT)
    assert not Path(f"{built}.dsse.json").exists()
    built.write_bytes(other)
    sp.sign_package(str(built), key=key, **WHAT)
    with sp.verify_package(built, policy) as verified:
        assert verified.read("a") == b"evil"


def test_what_was_built_can_be_moved_and_signed_where_it_is(
    tmp_path: Path, key: sp.SigningKey, policy: sp.TrustPolicy
) -> None:
    built = _build(tmp_path, {"a": b"1"})
    sp.sign_package(built.rename(tmp_path / "moved.zip"), key=key, **WHAT)
    sp.verify_package(tmp_path / "moved.zip", policy).close()
    with pytest.raises(sp.NotFound):
        sp.sign_package(built, key=key, **WHAT)


def test_a_package_that_is_cut_while_it_is_signed(
    tmp_path: Path, key: sp.SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = _build(tmp_path, {"a": bytes(1000)})

    def check_then_cut(descriptor: int, files: Sequence[tuple[str, int]]) -> dict[str, Entry]:
        entries = check_layout(descriptor, files)
        os.truncate(built, 500)
        return entries

    monkeypatch.setattr(signing, "check_layout", check_then_cut)
    with pytest.raises(sp.Unavailable, match="cannot be read: found it ends at byte 500"):
        sp.sign_package(str(built), key=key, **WHAT)
    assert not Path(f"{built}.dsse.json").exists()


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
