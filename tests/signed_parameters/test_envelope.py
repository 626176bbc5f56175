import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError as OtherVerificationError
from securesystemslib.signer import SSlibKey

import signed_parameters as sp
from signed_parameters.envelope import PAYLOAD_TYPE, Envelope

PAYLOAD = b'{"a":1}'


def _fields(key: sp.SigningKey) -> dict[str, object]:
    fields: dict[str, object] = json.loads(Envelope(PAYLOAD, ()).signed_by(key).to_bytes())
    return fields


def _compact(fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_an_envelope_survives_its_byte_form(key: sp.SigningKey, hmac_key: sp.SigningKey) -> None:
    envelope = Envelope(PAYLOAD, ()).signed_by(key).signed_by(hmac_key)
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope
    assert [signature.key_id for signature in envelope.signatures] == [key.key_id, hmac_key.key_id]


def test_what_is_signed_is_the_encoding_that_dsse_defines() -> None:
    assert Envelope(b"hello", ()).signed_bytes == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


def test_an_ed25519_envelope_verifies_with_another_dsse_implementation(key: sp.SigningKey) -> None:
    other = OtherEnvelope.from_dict(_fields(key))
    public = SSlibKey(key.key_id, "ed25519", "ed25519", {"public": key.verification_key.material.hex()})
    assert other.pae() == Envelope(PAYLOAD, ()).signed_bytes
    assert list(other.verify([public], 1)) == [key.key_id]
    other.payload += b" "
    with pytest.raises(OtherVerificationError):
        other.verify([public], 1)


def test_an_hmac_follows_from_first_principles(hmac_key: sp.SigningKey) -> None:
    signature = Envelope(PAYLOAD, ()).signed_by(hmac_key).signatures[0].value
    derived = hmac.new(hmac_key.private_key, b"signed_parameters envelope v1", hashlib.sha512).digest()
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(PAYLOAD), PAYLOAD)
    assert signature == hmac.new(derived, message, hashlib.sha512).digest()


@pytest.mark.parametrize("depth", [1_000, 100_000, 500_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"payload":'])
def test_a_deeply_nested_envelope_is_refused(opening: bytes, depth: int) -> None:
    with pytest.raises(sp.MalformedPackage, match="cannot be read"):
        Envelope.from_bytes(opening * depth)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null\n",
        b"1\n",
        b"[]\n",
        b'"payload"\n',
        b"{}\n",
        b"\xff\xfe{\x00}\x00",
        b'{"payload":null,"payloadType":"x","signatures":[]}\n',
        b'{"payload":"","payloadType":"x","signatures":null}\n',
        b'{"payload":"","payloadType":"x","signatures":[null]}\n',
        b'{"payload":"","payloadType":"x","signatures":[{"keyid":"a","sig":7}]}\n',
        b'{"payload":"?","payloadType":"x","signatures":[]}\n',
        b'{"payload":"\\u00e9","payloadType":"x","signatures":[]}\n',
        b'{"payload":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(sp.MalformedPackage, match="the envelope"):
        Envelope.from_bytes(data)


def test_every_other_spelling_of_an_envelope_is_refused(key: sp.SigningKey, refused: Any) -> None:
    fields = _fields(key)
    good = _compact(fields)
    signature = fields["signatures"][0]  # type: ignore[index]
    assert Envelope.from_bytes(good)
    spellings = {
        "no line end": good[:-1],
        "another line end": good[:-1] + b"\r\n",
        "space": good.replace(b",", b", ", 1),
        "byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "escapes": good.replace(b"payload", b"\\u0070ayload", 1),
        "order": json.dumps(dict(reversed(fields.items())), separators=(",", ":")).encode() + b"\n",
        "duplicate key": good.replace(b"{", b'{"payload":"",', 1),
        "duplicate key behind": good[:-2] + b',"signatures":[]}\n',
        "another field": _compact({**fields, "comment": ""}),
        "another field of a signature": _compact({**fields, "signatures": [{**signature, "cert": ""}]}),
        "another payload type": _compact({**fields, "payloadType": "application/json"}),
        "signatures in an object": _compact({**fields, "signatures": {}}),
        "signatures in a text": _compact({**fields, "signatures": ""}),
        "key id as a number": _compact({**fields, "signatures": [{**signature, "keyid": 7}]}),
        "base64 without padding": _compact({**fields, "payload": base64.b64encode(PAYLOAD).decode().rstrip("=")}),
        "base64 with spare bits": _compact({**fields, "payload": "AB=="}),
        "base64 with a line end": _compact({**fields, "payload": "eyJh\nIjox fQ=="}),
    }
    for name, data in spellings.items():
        assert data != good, name
        with refused(sp.MalformedPackage):
            Envelope.from_bytes(data)
            pytest.fail(name)


@pytest.mark.parametrize("key_id", ["a\nFORGED LINE OF THE LOG", "\x1b[2J", "\u202e", "\ud800", " ", "x" * 201])
def test_a_key_id_that_would_mislead_who_reads_it_is_refused(key: sp.SigningKey, key_id: str) -> None:
    fields = _fields(key)
    fields["signatures"][0]["keyid"] = key_id  # type: ignore[index]
    with pytest.raises(sp.MalformedPackage) as caught:
        Envelope.from_bytes(_compact(fields))
    assert str(caught.value).isprintable()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    with pytest.raises(sp.MalformedPackage):
        Envelope.from_bytes(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {"payload": _json, "signatures": _json | st.lists(st.fixed_dictionaries({"keyid": _json, "sig": _json}))}
    )
)
def test_arbitrary_fields_raise_nothing_but_our_error(fields: dict[str, object]) -> None:
    try:
        envelope = Envelope.from_bytes(_compact({**fields, "payloadType": PAYLOAD_TYPE}))
    except sp.MalformedPackage:
        return
    assert envelope.to_bytes() == _compact({**fields, "payloadType": PAYLOAD_TYPE})
