"""The golden packages of every version of the format verify, and the worked example of docs/format.md is true."""

import importlib.util
import json
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import DigestAlgorithm, digest_bytes
from signed_parameters.envelope import Envelope
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.layout import Entry, closing_bytes
from signed_parameters.statement import ENVELOPE_SUFFIX, SignedFile, Statement

HERE = Path(__file__).parent
FOLDER = HERE / "golden" / "v1"
KEYS: dict[str, str] = json.loads((FOLDER / "keys.json").read_text())
BOTH = FOLDER / "both-blake3-lasting.zip"
PACKAGES = sorted(set(FOLDER.glob("*.zip")) - {BOTH})
GLOBALS = {"model.pkl": ("collections:OrderedDict",)}


def _policy(package: Path) -> sp.TrustPolicy:
    algorithm = package.name.removesuffix(".zip").rsplit("-", 2)[0]
    return sp.TrustPolicy("golden", [sp.VerificationKey.parse(KEYS[algorithm])], minimum_serial=7)


def _load(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_there_is_a_package_of_every_kind() -> None:
    kinds = {
        f"{algorithm}-{digest}-{kind}.zip"
        for algorithm in Algorithm
        for digest in DigestAlgorithm
        for kind in ("expiring", "lasting")
    }
    assert {package.name for package in PACKAGES} == kinds


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.stem)
def test_a_golden_package_verifies(package: Path) -> None:
    _, digest, kind = package.stem.rsplit("-", 2)
    created = Statement.from_payload(_envelope(package).payload).created
    with sp.verify_package(package, _policy(package), now=created + timedelta(days=89)) as verified:
        statement = verified.statement
        assert verified.read("empty") == b""
        assert verified.read("plots/every_byte.bin") == bytes(range(256))
        assert verified.load_pickle("model.pkl") == OrderedDict(weight=1.5)
    assert statement.pickles == GLOBALS
    assert {statement.package_digest.algorithm, *(file.digest.algorithm for file in statement.files)} == {digest}
    assert (statement.name, statement.version, statement.parameters_version) == ("golden", "0.1.0", "2026_11_21")
    assert statement.expires == (created + timedelta(days=90) if kind == "expiring" else None)


def test_the_golden_package_with_two_signatures_reaches_a_threshold() -> None:
    keys = [sp.VerificationKey.parse(KEYS[algorithm]) for algorithm in Algorithm]
    with sp.verify_package(BOTH, sp.TrustPolicy("golden", keys, threshold=2)) as verified:
        assert set(verified.key_ids) == {key.key_id for key in keys}
    with pytest.raises(sp.TooFewSignatures):
        sp.verify_package(FOLDER / "ed25519-blake3-lasting.zip", sp.TrustPolicy("golden", keys, threshold=2))


def test_the_golden_pointer_leads_to_its_package() -> None:
    policy = sp.TrustPolicy("golden", [sp.VerificationKey.parse(KEYS["hmac-sha512"])], minimum_serial=7)
    with sp.verify_package(f"{FOLDER}/golden@latest", policy) as verified:
        assert verified.statement.serial == 7
        assert verified.load_pickle("model.pkl") == OrderedDict(weight=1.5)
    with pytest.raises(sp.RolledBack):
        sp.verify_package(f"{FOLDER}/golden@latest", replace(policy, minimum_serial=8))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.stem)
def test_a_golden_package_is_judged(package: Path) -> None:
    policy = _policy(package)
    late = datetime(2126, 1, 1, tzinfo=UTC)
    if package.stem.endswith("expiring"):
        with pytest.raises(sp.Expired):
            sp.verify_package(package, policy, now=late)
    else:
        sp.verify_package(package, policy, now=late).close()
    with pytest.raises(sp.UnknownKey):
        sp.verify_package(package, sp.TrustPolicy("golden", [sp.SigningKey.generate().verification_key]))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.stem)
def test_what_is_written_today_is_what_was_written_then(package: Path, tmp_path: Path) -> None:
    contents: dict[str, bytes] = _load(HERE / "golden" / "make.py").CONTENTS
    files = {name: tmp_path / str(number) for number, name in enumerate(contents)}
    for name, path in files.items():
        path.write_bytes(contents[name])
    assert sp.build_package(tmp_path / "again.zip", files).read_bytes() == package.read_bytes()
    envelope = _envelope(package)
    assert Statement.from_payload(envelope.payload).to_payload() == envelope.payload
    if package.stem.startswith("hmac"):
        key = sp.SigningKey(Algorithm.HMAC_SHA512, bytes(range(64)))
        again = Envelope(envelope.payload, ()).signed_by(key)
        assert again.to_bytes() == _envelope_path(package).read_bytes()


def test_golden_packages_are_not_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make: Callable[[Path], None] = _load(HERE / "golden" / "make.py").make
    make(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in FOLDER.iterdir()}
    with pytest.raises(FileExistsError):
        make(tmp_path / "new")


def _envelope_path(package: Path) -> Path:
    return package.with_name(package.name + ENVELOPE_SUFFIX)


def _envelope(package: Path) -> Envelope:
    return Envelope.from_bytes(_envelope_path(package).read_bytes())


def _wrapped(label: str, text: str) -> str:
    lines = [text[at : at + 100] for at in range(0, len(text), 100)]
    return "\n".join([f"{label}:", *(f"  {line}" for line in lines)])


def _example() -> str:
    entry = Entry("a", 5, zlib.crc32(b"hello"), 0)
    archive = entry.local_header() + b"hello" + closing_bytes([entry])
    ed25519 = sp.SigningKey(Algorithm.ED25519, bytes(range(32)))
    hmac = sp.SigningKey(Algorithm.HMAC_SHA512, bytes(range(64)))
    fields: dict[str, Any] = {
        "name": "m",
        "version": "0.1.0",
        "parameters_version": "1",
        "serial": 1,
        "created": datetime(2026, 11, 21, tzinfo=UTC),
        "package_size": len(archive),
        "package_digest": digest_bytes(archive, DigestAlgorithm.BLAKE3),
        "files": (SignedFile(name="a", size=5, digest=digest_bytes(b"hello", DigestAlgorithm.BLAKE3)),),
        "runtime": {"python": "3.11.0"},
        "pickles": {},
    }
    payload = Statement(**fields).to_payload()
    unsigned = Envelope(payload, ())
    return "\n".join(
        [
            _wrapped(f"the archive, {len(archive)} bytes", archive.hex()),
            _wrapped(f"the payload, {len(payload)} bytes", payload.decode()),
            _wrapped("Ed25519 verification key", str(ed25519.verification_key)),
            _wrapped("its key id", ed25519.key_id),
            _wrapped("its signature", ed25519.sign(unsigned.signed_bytes).hex()),
            _wrapped("HMAC-SHA-512 key id", hmac.key_id),
            _wrapped("its signature", hmac.sign(unsigned.signed_bytes).hex()),
            _wrapped(
                "SHA-256 of the envelope with both, in this order",
                digest_bytes(unsigned.signed_by(ed25519).signed_by(hmac).to_bytes(), DigestAlgorithm.SHA256).value,
            ),
        ]
    )


def test_the_worked_example_is_true() -> None:
    example = _example()
    text = (HERE.parent / "docs" / "format.md").read_text()
    assert f"```text\n{example}\n```" in text, f"docs/format.md must end with:\n{example}"
