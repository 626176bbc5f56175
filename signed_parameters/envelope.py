"""The envelope: a DSSE v1 envelope, which carries a payload and signatures of it.

What is signed is the pre-authentication encoding of the payload and its type, as the DSSE protocol defines it, so any
DSSE tool can check an Ed25519 envelope. An envelope has exactly one byte form: `from_bytes` refuses every other.
"""

import binascii
import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from signed_parameters.errors import MalformedPackage
from signed_parameters.keys.signing_key import SigningKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_KEY_ID = re.compile(r"[!-~]{0,200}")
_REMEDY = "Fetch or sign the package again."


@dataclass(frozen=True)
class Signature:
    """One signature: the id of the key that made it, which is a claim until the key is tried, and the raw bytes."""

    key_id: str
    value: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload and its signatures. That an envelope could be read says nothing of whether a signature holds."""

    payload: bytes
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """Return the file's content: compact JSON with sorted keys and a line end."""
        fields = {
            "payload": b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {"keyid": signature.key_id, "sig": b64encode(signature.value).decode()} for signature in self.signatures
            ],
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> "Envelope":
        """Read an envelope.

        Raises:
            MalformedPackage: the bytes are not the one form of an envelope of ours.
        """
        try:
            fields = json.loads(data)
            envelope = cls(
                b64decode(fields["payload"], validate=True),
                tuple(
                    Signature(str(entry["keyid"]), b64decode(entry["sig"], validate=True))
                    for entry in fields["signatures"]
                ),
            )
            if not all(_KEY_ID.fullmatch(signature.key_id) for signature in envelope.signatures):
                raise ValueError("a key id is printable ASCII")
            canonical = envelope.to_bytes()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
            raise MalformedPackage("the envelope cannot be read", expected="a DSSE envelope", remedy=_REMEDY) from None
        if canonical != data:
            raise MalformedPackage(
                "the envelope is not in its one byte form",
                expected="compact JSON with sorted keys, and the fields of DSSE only",
                remedy=_REMEDY,
            )
        return envelope

    def signed_by(self, key: SigningKey) -> "Envelope":
        """Return this envelope with one more signature."""
        signature = Signature(key.key_id, key.sign(self.signed_bytes))
        return Envelope(self.payload, (*self.signatures, signature))

    @property
    def signed_bytes(self) -> bytes:
        """What signatures are made of: the pre-authentication encoding of type and payload."""
        payload_type = PAYLOAD_TYPE.encode()
        return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(self.payload), self.payload)
