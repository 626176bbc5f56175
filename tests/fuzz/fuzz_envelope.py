"""Envelopes: what is read has one byte form, and nothing that was not signed verifies."""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

from signed_parameters.checks import check_signatures
from signed_parameters.envelope import PAYLOAD_TYPE, Envelope, Signature
from signed_parameters.errors import MalformedPackage, VerificationError
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.policy.trust_policy import TrustPolicy
from tests.fuzz import json_values
from tests.fuzz.harness import Finding, Harness

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_PAYLOAD = b'{"a":1}'


@cache
def _keys() -> tuple[SigningKey, SigningKey]:
    return SigningKey.generate(), SigningKey.generate("hmac-sha512")


@cache
def _policy() -> TrustPolicy:
    return TrustPolicy(name="m", keys=[key.verification_key for key in _keys()])


@cache
def _signatures() -> frozenset[Signature]:
    return frozenset(signature for key in _keys() for signature in Envelope(_PAYLOAD, ()).signed_by(key).signatures)


def _compact(fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def seeds() -> Iterator[bytes]:
    """Yield envelopes with no, one and two good signatures, some with odd key ids, and some of another spelling."""
    first, second = _keys()
    envelope = Envelope(_PAYLOAD, ())
    yield envelope.to_bytes()
    yield envelope.signed_by(first).to_bytes()
    yield envelope.signed_by(second).to_bytes()
    good = envelope.signed_by(first).signed_by(second).to_bytes()
    yield good
    yield json.dumps(json.loads(good), indent=1).encode()
    yield Envelope(b"", (Signature('"\\', b"x"), Signature("", b""))).to_bytes()
    payload = b64encode(_PAYLOAD).decode()
    for entry in (None, {}, {"keyid": 1, "sig": ""}, {"keyid": "a", "sig": None}, {"keyid": "\ud800", "sig": "AA=="}):
        yield _compact({"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [entry]})


def check(data: bytes) -> None:
    """Read an envelope, write it again, and let the policy judge its signatures."""
    try:
        envelope = Envelope.from_bytes(data)
    except MalformedPackage:
        return
    if envelope.to_bytes() != data:
        raise Finding("an envelope is read that has another byte form")
    try:
        holding = check_signatures(envelope, _policy(), _NOW)
    except VerificationError:
        return
    if envelope.payload != _PAYLOAD:
        raise Finding("a payload verifies that nobody signed")
    made = {signature.key_id for signature in set(envelope.signatures) & _signatures()}
    if not set(holding) <= made:
        raise Finding(f"signatures hold that nobody made, by {sorted(set(holding) - made)}")


HARNESS = Harness(("signed_parameters.envelope",), seeds, check, json_values.mutate)
