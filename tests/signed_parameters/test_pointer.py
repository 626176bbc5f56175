import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.pointer import Pointer, beside, is_pointer, pointer_name, read_claims

CREATED = datetime(2026, 11, 21, tzinfo=UTC)
FIELDS: dict[str, Any] = {
    "name": "m",
    "version": "0.1.0",
    "parameters_version": "1",
    "serial": 7,
    "created": CREATED,
    "package_name": "m-0.1.0-1.zip",
    "package_digest": Digest(DigestAlgorithm.BLAKE3, "0" * 64),
}


def test_a_pointer_is_an_in_toto_statement_of_its_own_kind() -> None:
    assert json.loads(Pointer(**FIELDS, expires=CREATED + timedelta(days=1)).to_payload()) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m-0.1.0-1.zip", "digest": {"blake3": "0" * 64}}],
        "predicateType": "urn:signed-parameters:latest:v1",
        "predicate": {
            "name": "m",
            "version": "0.1.0",
            "parameters_version": "1",
            "serial": 7,
            "created": "2026-11-21T00:00:00Z",
            "expires": "2026-11-22T00:00:00Z",
        },
    }


def test_a_pointer_is_read_back() -> None:
    for pointer in (Pointer(**FIELDS), Pointer(**FIELDS, expires=CREATED + timedelta(days=1))):
        assert Pointer.from_payload(pointer.to_payload()) == pointer
        assert read_claims(pointer.to_payload()) == pointer


def test_a_package_s_statement_is_read_by_its_kind(workshop: Any) -> None:
    statement = workshop.statement(b"", {"a": b"1"})
    assert read_claims(statement.to_payload()) == statement


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"1", b"[]", b"{}", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"predicateType":' * 50_000),
        *(b'{"predicateType":[]}', b'{"predicateType":"urn:signed-parameters:latest:v2"}'),
        *(
            b'{"predicateType":"urn:signed-parameters:latest:v1"}',
            b'{"predicateType":"urn:signed-parameters:package:v1"}',
        ),
    ],
)
def test_what_is_no_statement_is_refused(payload: bytes) -> None:
    for read in (read_claims, Pointer.from_payload, sp.Statement.from_payload):
        with pytest.raises(sp.MalformedPackage):
            read(payload)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("serial", -1),
        ("serial", 2**53),
        ("serial", "7"),
        ("serial", True),
        ("name", ""),
        ("name", "m/x"),
        ("version", None),
        ("expires", "2026-11-21T00:00:00Z"),
        ("expires", None),
        ("created", "2026-11-21"),
        ("files", []),
        ("package_name", "m.zip"),
        ("package_digest", {"blake3": "0" * 64}),
    ],
)
def test_a_predicate_with_another_value_or_member_is_refused(member: str, value: object) -> None:
    fields = json.loads(Pointer(**FIELDS).to_payload())
    fields["predicate"][member] = value
    with pytest.raises(sp.MalformedPackage):
        Pointer.from_payload(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f["subject"].append(f["subject"][0]),
        lambda f: f["subject"].clear(),
        lambda f: f["subject"][0].update(extra=1),
        lambda f: f["subject"][0].pop("name"),
        lambda f: f.update(subject={}),
        lambda f: f.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda f: f.update(extra=1),
        lambda f: f.update(predicate=[]),
    ],
)
def test_another_form_of_a_pointer_is_refused(change: Any) -> None:
    fields = json.loads(Pointer(**FIELDS).to_payload())
    change(fields)
    with pytest.raises(sp.MalformedPackage):
        Pointer.from_payload(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


def test_the_pointer_is_beside_the_package() -> None:
    assert pointer_name("m", "m-1.zip") == "m@latest"
    assert pointer_name("m", "a/b/m-1.zip") == "a/b/m@latest"
    assert beside("a/m@latest", "m-1.zip") == "a/m-1.zip"
    assert [is_pointer(name) for name in ("m@latest", "a/m@latest", "m@latest/x", "m.zip", "m@latest.zip")] == [
        *(True, True, False, False, False)
    ]
