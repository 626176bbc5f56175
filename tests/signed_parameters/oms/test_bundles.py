"""Bundles of OpenSSF model signing that were changed, or never were any."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters import oms

Refused = Callable[..., Any]


def _change(signature: Path, change: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads(signature.read_text())
    change(fields)
    signature.write_text(json.dumps(fields))


def _change_payload(signature: Path, old: bytes, new: bytes) -> None:
    def change(fields: dict[str, Any]) -> None:
        payload = base64.b64decode(fields["dsseEnvelope"]["payload"])
        assert old in payload
        fields["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(old, new)).decode()

    _change(signature, change)


def test_another_key_is_refused_even_where_it_claims_to_be_the_trusted_one(
    folder: Path, pair: Any, make_pair: Any, signature: Path, tmp_path: Path, refused: Refused
) -> None:
    mallory = make_pair("mallory")
    (folder / "model.onnx").write_bytes(b"evil")
    trusted = json.loads(signature.read_text())["verificationMaterial"]
    oms.sign_folder(folder, mallory.private, signature)
    with refused(sp.UnknownKey, match="not by the trusted key"):
        oms.verify_folder(folder, pair.public, signature)
    _change(signature, lambda fields: fields.update(verificationMaterial=trusted))
    with refused(sp.BadSignature):
        oms.verify_folder(folder, pair.public, signature)


def test_a_changed_payload_is_refused(folder: Path, pair: Any, signature: Path, refused: Refused) -> None:
    (folder / "model.onnx").rename(folder / "other.onnx")
    _change_payload(signature, b"model.onnx", b"other.onnx")
    with refused(sp.BadSignature):
        oms.verify_folder(folder, pair.public, signature)


def test_a_second_spelling_of_a_member_does_not_hide_what_is_verified(
    folder: Path, pair: Any, signature: Path, refused: Refused
) -> None:
    signed = json.loads(signature.read_text())
    (folder / ".git").mkdir()
    (folder / ".git" / "planted").write_text("")
    _change_payload(signature, b'"name": "plots/auc.png"', b'"name": ".git/planted"')
    changed = json.loads(signature.read_text())
    for fields in (
        {**signed, "dsse_envelope": changed["dsseEnvelope"]},
        {**changed, "dsse_envelope": signed["dsseEnvelope"]},
    ):
        signature.write_text(json.dumps(fields))
        with refused(sp.DigestMismatch, sp.BadSignature):
            oms.verify_folder(folder, pair.public, signature)


def test_any_character_of_the_signature_changed(folder: Path, pair: Any, signature: Path, refused: Refused) -> None:
    good = json.loads(signature.read_text())["dsseEnvelope"]["signatures"][0]["sig"]
    for position in range(0, len(good.rstrip("=")) - 1, 7):
        bad = good[:position] + ("B" if good[position] == "A" else "A") + good[position + 1 :]
        _change(signature, lambda fields, bad=bad: fields["dsseEnvelope"]["signatures"][0].update(sig=bad))
        with refused(sp.BadSignature, sp.MalformedPackage):
            oms.verify_folder(folder, pair.public, signature)


def _payload(predicate: Any, kind: str = "https://model_signing/signature/v1.0") -> str:
    return base64.b64encode(json.dumps({"predicateType": kind, "predicate": predicate}).encode()).decode()


_FILES = {"method": "files", "hash_type": "sha256"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"dsseEnvelope":{"payload":"","signatures":[]}}',
        b'{"dsseEnvelope":{"payload":7,"signatures":[{"sig":"AA=="}]}}',
        b'{"dsseEnvelope":{"payload":"e30=","signatures":[{},{}]}}',
    ],
)
def test_what_is_no_bundle_is_refused(
    folder: Path, pair: Any, tmp_path: Path, refused: Refused, content: bytes
) -> None:
    (tmp_path / "s").write_bytes(content)
    with refused(sp.MalformedPackage, match="no bundle"):
        oms.verify_folder(folder, pair.public, tmp_path / "s")


@pytest.mark.parametrize(
    "payload",
    [
        _payload({"serialization": _FILES, "resources": [{"name": "a"}]}, "https://model_signing/Digests/v0.1"),
        _payload({"serialization": _FILES, "resources": []}),
        _payload({"serialization": _FILES, "resources": [7]}),
        _payload({"serialization": {}, "resources": [{"name": "a"}]}),
        _payload({"serialization": 7, "resources": [{"name": "a"}]}),
        _payload({"serialization": {"method": "files"}, "resources": [{"name": "a"}]}),
        _payload({"serialization": {"method": "files", "hash_type": "md5"}, "resources": [{"name": "a"}]}),
        _payload({"serialization": {"method": "shards", "hash_type": "sha256"}, "resources": [{"name": "a"}]}),
        _payload({"serialization": {**_FILES, "method": [], "hash_type": []}, "resources": [{"name": "a"}]}),
        _payload([]),
    ],
)
def test_a_bundle_that_says_nonsense_is_refused(
    folder: Path, pair: Any, signature: Path, refused: Refused, payload: str
) -> None:
    _change(signature, lambda fields: fields["dsseEnvelope"].update(payload=payload))
    with refused(sp.MalformedPackage):
        oms.verify_folder(folder, pair.public, signature)


@pytest.mark.parametrize(
    ("member", "value"),
    [("mediaType", "x"), ("mediaType", None), ("payloadType", "x"), ("payloadType", []), ("sig", 7), ("sig", "?")],
)
def test_other_kinds_of_bundles_are_refused(
    folder: Path, pair: Any, signature: Path, refused: Refused, member: str, value: object
) -> None:
    def change(fields: dict[str, Any]) -> None:
        envelope = fields["dsseEnvelope"]
        for part in (fields, envelope, envelope["signatures"][0]):
            if member in part:
                part[member] = value

    _change(signature, change)
    with refused(sp.MalformedPackage, sp.BadSignature):
        oms.verify_folder(folder, pair.public, signature)


def test_a_bundle_without_the_key_s_hash_is_refused_and_nothing_is_printed(
    folder: Path, pair: Any, signature: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    _change(signature, lambda fields: fields["verificationMaterial"]["publicKey"].pop("hint"))
    with refused(sp.MalformedPackage):
        oms.verify_folder(folder, pair.public, signature)
    _change(signature, lambda fields: fields["verificationMaterial"]["publicKey"].update(hint=""))
    with refused(sp.UnknownKey):
        oms.verify_folder(folder, pair.public, signature)
    assert capsys.readouterr() == ("", "")


def test_a_huge_bundle_is_not_read(folder: Path, pair: Any, tmp_path: Path, refused: Refused) -> None:
    with (tmp_path / "s").open("wb") as file:
        file.truncate(100 << 20)
    with refused(sp.TooLarge):
        oms.verify_folder(folder, pair.public, tmp_path / "s")
