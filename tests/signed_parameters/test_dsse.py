"""Envelopes of ours and of `securesystemslib`, an implementation of DSSE by others: each verifies the other's."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError as OtherVerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

import signed_parameters as sp
from signed_parameters.envelope import PAYLOAD_TYPE, Envelope
from signed_parameters.statement import ENVELOPE_SUFFIX

DOCUMENT = Path(__file__).parents[2] / "docs" / "interoperation.md"

MakePackage = Callable[..., Path]
Refused = Callable[..., Any]


@pytest.fixture
def approver() -> sp.SigningKey:
    return sp.SigningKey.generate()


def _public(key: sp.SigningKey) -> SSlibKey:
    return SSlibKey(key.key_id, "ed25519", "ed25519", {"public": key.verification_key.material.hex()})


def _sidecar(package: Path) -> Path:
    return package.with_name(package.name + ENVELOPE_SUFFIX)


def _read_by_other(package: Path) -> OtherEnvelope:
    return OtherEnvelope.from_dict(json.loads(_sidecar(package).read_bytes()))


def _add_signature(package: Path, key: sp.SigningKey) -> None:
    envelope = Envelope.from_bytes(_sidecar(package).read_bytes())
    _sidecar(package).write_bytes(envelope.signed_by(key).to_bytes())


def _signed_by_other(payload: bytes, *keys: sp.SigningKey, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the envelope that the other implementation makes, written as JSON in the way that the format asks for."""
    envelope = OtherEnvelope(payload, payload_type, {})
    for key in keys:
        private_key = Ed25519PrivateKey.from_private_bytes(key.private_key)
        envelope.sign(CryptoSigner(private_key, _public(key)))
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"


# Ours, read by the other


def test_the_envelope_of_a_package_verifies_with_the_other(make_package: MakePackage, key: sp.SigningKey) -> None:
    package = make_package({"model.onnx": b"a graph"})
    other = _read_by_other(package)
    assert list(other.verify([_public(key)], 1)) == [key.key_id]
    assert sp.Statement.from_payload(other.payload).name == "m"


def test_several_signatures_reach_the_other_s_threshold(
    make_package: MakePackage, key: sp.SigningKey, approver: sp.SigningKey
) -> None:
    package = make_package({"model.onnx": b"a graph"})
    keys = [_public(key), _public(approver)]
    with pytest.raises(OtherVerificationError):
        _read_by_other(package).verify(keys, 2)
    _add_signature(package, approver)
    assert set(_read_by_other(package).verify(keys, 2)) == {key.key_id, approver.key_id}


def test_the_other_passes_over_an_hmac_beside_an_ed25519_signature(
    make_package: MakePackage, key: sp.SigningKey, hmac_key: sp.SigningKey
) -> None:
    package = make_package({"model.onnx": b"a graph"})
    _add_signature(package, hmac_key)
    assert list(_read_by_other(package).verify([_public(key)], 1)) == [key.key_id]


def test_the_other_refuses_another_key_and_a_changed_payload(
    make_package: MakePackage, key: sp.SigningKey, approver: sp.SigningKey
) -> None:
    package = make_package({"model.onnx": b"a graph"})
    with pytest.raises(OtherVerificationError):
        _read_by_other(package).verify([_public(approver)], 1)
    changed = _read_by_other(package)
    changed.payload = changed.payload.replace(b'"serial":1', b'"serial":9')
    with pytest.raises(OtherVerificationError):
        changed.verify([_public(key)], 1)


def test_the_documented_lines_verify_an_envelope(
    make_package: MakePackage, key: sp.SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = DOCUMENT.read_text().partition("## DSSE")[2].partition("\n## ")[0]
    (lines,) = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    package = make_package({"model.onnx": b"a graph"}, name="model.zip")
    monkeypatch.chdir(package.parent)
    Path("verification_key.txt").write_text(f"{key.verification_key}\n")
    exec(lines, {})
    Path("verification_key.txt").write_text(str(sp.SigningKey.generate().verification_key))
    with pytest.raises(OtherVerificationError):
        exec(lines, {})


# The other's, read by ours


def _payload(package: Path) -> bytes:
    return Envelope.from_bytes(_sidecar(package).read_bytes()).payload


def test_the_other_makes_the_very_envelope_that_we_make(make_package: MakePackage, key: sp.SigningKey) -> None:
    package = make_package({"model.onnx": b"a graph"})
    assert _signed_by_other(_payload(package), key) == _sidecar(package).read_bytes()


def test_a_package_signed_by_the_other_reaches_a_threshold(
    make_package: MakePackage, key: sp.SigningKey, approver: sp.SigningKey, refused: Refused
) -> None:
    package = make_package({"model.onnx": b"a graph"})
    policy = sp.TrustPolicy(name="m", keys=[key.verification_key, approver.verification_key], threshold=2)
    _sidecar(package).write_bytes(_signed_by_other(_payload(package), approver))
    with refused(sp.TooFewSignatures):
        sp.verify_package(package, policy)
    _sidecar(package).write_bytes(_signed_by_other(_payload(package), approver, key))
    with sp.verify_package(package, policy) as verified:
        assert verified.key_ids == (approver.key_id, key.key_id)
        assert verified.read("model.onnx") == b"a graph"


def test_what_the_other_signed_is_held_to_the_policy(
    make_package: MakePackage, policy: sp.TrustPolicy, key: sp.SigningKey, approver: sp.SigningKey, refused: Refused
) -> None:
    package = make_package({"model.onnx": b"a graph"})
    payload = _payload(package)
    by_approver = _signed_by_other(payload, approver)
    fields = json.loads(_signed_by_other(payload.replace(b'"serial":1', b'"serial":9'), key))
    fields["payload"] = json.loads(by_approver)["payload"]
    exchanged = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    for envelope, error in (
        (by_approver, sp.UnknownKey),
        (by_approver.replace(approver.key_id.encode(), key.key_id.encode()), sp.BadSignature),
        (exchanged, sp.BadSignature),
    ):
        _sidecar(package).write_bytes(envelope)
        with refused(error):
            sp.verify_package(package, policy)


def test_a_payload_of_another_type_or_form_is_refused_whoever_signed_it(
    make_package: MakePackage, policy: sp.TrustPolicy, key: sp.SigningKey, refused: Refused
) -> None:
    package = make_package({"model.onnx": b"a graph"})
    payload = _payload(package)
    spaced = json.dumps(json.loads(payload)).encode()
    for other in (
        _signed_by_other(payload, key, payload_type="application/json"),
        _signed_by_other(spaced, key),
        _signed_by_other(payload, key).replace(b",", b", "),
    ):
        _sidecar(package).write_bytes(other)
        with refused(sp.MalformedPackage):
            sp.verify_package(package, policy)
