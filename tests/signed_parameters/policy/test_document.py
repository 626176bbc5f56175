"""The JSON Schema of policy files says what the loader does: it is stored, and the two agree."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import signed_parameters as sp
from signed_parameters.policy.document import LimitsEntry, PolicyDocument, json_schema

STORED = Path(__file__).parents[3] / "docs" / "trust_policy.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
PUBLIC, OTHER = (str(sp.SigningKey.generate().verification_key) for _ in range(2))
SECRET = str(sp.SigningKey.generate("hmac-sha512").verification_key)
FULL: dict[str, Any] = {
    "name": "m",
    "version": ">=0.1,<0.2",
    "parameters_version": "2026_11_21",
    "package_digest": "sha256:" + "0" * 64,
    "keys": [
        {
            "key": PUBLIC,
            "not_before": "2026-01-01T00:00:00Z",
            "not_after": "2027-01-01T00:00:00Z",
            "status": "retired",
        },
        OTHER,
    ],
    "keyring": "keyring.json",
    "threshold": 2,
    "minimum_serial": 7,
    "maximum_age": "90d",
    "revoked_keys": ["0" * 32],
    "revoked_digests": ["blake3:" + "0" * 64],
    "signature_algorithms": ["ed25519", "hmac-sha512"],
    "digest_algorithms": ["blake3", "sha256"],
    "allowed_globals": ["numpy:ndarray"],
    "limits": {
        "envelope_bytes": 1000,
        "package_bytes": 1000,
        "signatures": 4,
        "connect_seconds": 1,
        "read_seconds": 1.5,
        "download_seconds": 60,
        "listing_pages": 10,
    },
}
SHORT: dict[str, Any] = {"name": "m", "keys": [PUBLIC]}
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 4, 10**15, 10**17, 0.5, -0.5, "", "x", "a b", "1", "m\0", "90d", ">=1", [], {}),
    *([None], ["x"], ["ed25519"], ["ed25519", "ed25519"], ["0" * 32], {"x": 1}, {"key": "x"}, "active", SECRET, PUBLIC),
    *([PUBLIC], [PUBLIC, PUBLIC], [{"key": OTHER}], [{"key": PUBLIC}, {"key": PUBLIC}], "2027-01-01T00:00:00Z"),
    *("2027-13-01T00:00:00Z", "env:NOT_THERE", "keyring.json", ["numpy:ndarray"], ["blake3:" + "f" * 64], "x" * 129),
    *("blake3:" + "f" * 64, "blake3:" + "F" * 64, "md5:" + "f" * 64, "sha256:" + "f" * 64),
]
Load = Callable[[object], sp.TrustPolicy]
Place = tuple[int | str, ...]


@pytest.fixture
def load(tmp_path: Path, key: sp.SigningKey) -> Load:
    """`load(policy)` writes a policy to a file, beside a keyring, and reads it."""
    sp.Keyring().with_key(key.verification_key).save(tmp_path / "keyring.json")
    path = tmp_path / "policy.yaml"

    def write_and_load(policy: object) -> sp.TrustPolicy:
        path.write_text(yaml.safe_dump(policy))
        return sp.TrustPolicy.load(path)

    return write_and_load


def _places(value: object, above: Place = ()) -> Iterator[Place]:
    yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from _places(item, (*above, name))


def _changed(policy: Any, place: Place, value: object) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(policy)
    part = changed
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    return changed


def _loads(load: Load, policy: object) -> bool:
    try:
        load(policy)
    except sp.ConfigurationError:
        return False
    return True


def test_the_stored_schema_is_up_to_date() -> None:
    """Write it anew with `signed-parameters policy --schema > docs/trust_policy.schema.json`."""
    assert STORED.read_text() == json.dumps(json_schema(), indent=2) + "\n"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json_schema()["$id"].startswith("urn:")


def test_an_editor_has_something_to_show_for_every_key() -> None:
    parts = [json_schema(), *(part for part in json_schema()["$defs"].values() if part["type"] == "object")]
    assert len(parts) == 3
    for part in parts:
        assert part["additionalProperties"] is False
        for shown in part["properties"].values():
            assert shown["title"]
            assert shown["description"].endswith(".")


def test_the_file_can_say_what_code_can_say() -> None:
    assert set(PolicyDocument.model_fields) == {field.name for field in fields(sp.TrustPolicy)} | {"keyring"}
    assert set(PolicyDocument.model_fields) == set(FULL)


def test_the_limits_and_their_defaults_are_those_of_code() -> None:
    assert sp.Limits(**LimitsEntry().model_dump()) == sp.Limits()  # type: ignore[call-arg,unused-ignore]
    assert set(LimitsEntry.model_fields) == {field.name for field in fields(sp.Limits)} == set(FULL["limits"])


@pytest.mark.parametrize("policy", [SHORT, FULL, {"name": "m", "keyring": "keyring.json"}])
def test_good_policies_are_good_for_both(load: Load, policy: dict[str, Any]) -> None:
    VALIDATOR.validate(policy)
    assert load(policy).name == "m"


def test_what_the_schema_rejects_the_loader_rejects_and_the_other_way_round(load: Load) -> None:
    """Every place of two good policies, with every kind of value in it, with and without another key beside it."""
    unsaid: set[str] = set()
    rejected = accepted = 0
    for policy in (FULL, SHORT):
        for place in _places(policy):
            for value in VALUES:
                changed = _changed(policy, place, value)
                if _loads(load, changed):
                    assert VALIDATOR.is_valid(changed), f"{place} = {value!r} is read, though the schema rejects it"
                    accepted += 1
                elif VALIDATOR.is_valid(changed):
                    unsaid.add(str(place[0]))
                else:
                    rejected += 1
    # A schema cannot say: what is a range of versions or a real date, which keys and files exist and how many.
    assert unsaid == {"version", "keys", "keyring", "threshold"}
    assert min(rejected, accepted) > 50


@pytest.mark.parametrize("policy", [SHORT, FULL])
def test_leaving_out_is_judged_alike(load: Load, policy: dict[str, Any]) -> None:
    for name in policy:
        rest = {other: value for other, value in policy.items() if other != name}
        if name == "keys":
            rest["threshold"] = 1
        assert _loads(load, rest) is VALIDATOR.is_valid(rest)
