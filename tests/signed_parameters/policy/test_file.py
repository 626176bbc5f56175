"""Policy files: what they can say, what they cannot, and that nobody has to guess what is wrong with one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import signed_parameters as sp

GOOD_ID, OTHER_ID = "0" * 32, "1" * 32
DIGEST = "blake3:" + "0" * 64
PUBLIC = str(sp.SigningKey.generate().verification_key)
SECRET = str(sp.SigningKey.generate("hmac-sha512").verification_key)

Load = Callable[[str], sp.TrustPolicy]
Refused = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`load(text)` reads a policy file with that text, in a folder where there is nothing else."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str) -> sp.TrustPolicy:
        Path("policy.yaml").write_text(text)
        return sp.TrustPolicy.load("policy.yaml")

    return write_and_load


def policy(**changes: object) -> str:
    """Return a good policy with changes, as a file; a change to ... leaves a key out."""
    fields = {"name": "m", "keys": [PUBLIC], **changes}
    return yaml.safe_dump({name: value for name, value in fields.items() if value is not ...})


def test_everything_can_be_said(load: Load) -> None:
    found = load(
        f"""
        name: m
        version: ">=0.1,<0.2"
        parameters_version: "2026_11_21"
        package_digest: {DIGEST}
        keys:
          - key: {PUBLIC}
            not_before: 2026-01-01T00:00:00Z
            not_after: "2027-01-01T00:00:00Z"
            status: retired
          - {sp.SigningKey.generate().verification_key}
        threshold: 2
        minimum_serial: 7
        maximum_age: 90d
        revoked_keys: ["{GOOD_ID}"]
        revoked_digests: ["{DIGEST}"]
        signature_algorithms: [ed25519]
        digest_algorithms: [blake3]
        allowed_globals: [numpy:ndarray]
        limits:
          package_bytes: 1000
          read_seconds: 1.5
        """
    )
    retired, active = found.trusted_keys
    assert (retired.key, retired.status) == (sp.VerificationKey.parse(PUBLIC), sp.KeyStatus.RETIRED)
    assert (retired.not_before, retired.not_after) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert (active.not_before, active.not_after, active.status) == (None, None, sp.KeyStatus.ACTIVE)
    assert found == sp.TrustPolicy(
        name="m",
        version=">=0.1,<0.2",
        parameters_version="2026_11_21",
        package_digest=DIGEST,
        keys=[retired, active],
        threshold=2,
        minimum_serial=7,
        maximum_age=timedelta(days=90),
        revoked_keys=[GOOD_ID],
        revoked_digests=[DIGEST],
        signature_algorithms=[sp.SigningKey.generate().algorithm],
        digest_algorithms=[found.digest_algorithms[0]],
        allowed_globals=["numpy:ndarray"],
        limits=sp.Limits(package_bytes=1000, read_seconds=1.5),
    )


def test_what_is_left_out_is_as_in_code(load: Load) -> None:
    expected = sp.TrustPolicy(name="m", keys=[sp.TrustedKey(sp.VerificationKey.parse(PUBLIC))])
    assert load(policy()) == expected


def test_an_empty_list_of_globals_is_not_the_same_as_none(load: Load) -> None:
    assert load(policy(allowed_globals=[])).allowed_globals == ()
    assert load(policy()).allowed_globals is None


def test_a_package_is_verified_by_a_policy_file(
    load: Load, make_package: Callable[..., Path], key: sp.SigningKey
) -> None:
    path = make_package({"a": b"a"}, serial=3)
    text = policy(keys=[str(key.verification_key)], minimum_serial=3, maximum_age="1d")
    with sp.verify_package(path, load(text)) as package:
        assert package.read("a") == b"a"
    with pytest.raises(sp.RolledBack):
        sp.verify_package(path, load(policy(keys=[str(key.verification_key)], minimum_serial=4)))


# keys


@pytest.mark.parametrize("text", [PUBLIC, SECRET, f" {SECRET}\n"], ids=["public", "secret", "with spaces"])
@pytest.mark.parametrize("entry", ["env:A_KEY", {"key": "env:A_KEY"}])
def test_a_key_comes_from_the_environment(
    load: Load, monkeypatch: pytest.MonkeyPatch, text: str, entry: object
) -> None:
    monkeypatch.setenv("A_KEY", text)
    (found,) = load(policy(keys=[entry])).trusted_keys
    assert found.key == sp.VerificationKey.parse(text)


@pytest.mark.parametrize("value", [None, "", "nonsense", "ed25519:AAAA"])
def test_a_key_that_the_environment_does_not_hold_is_named(
    load: Load, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    with pytest.raises(sp.ConfigurationError, match=r"policy\.yaml is not usable at keys\.1: ") as caught:
        load(policy(keys=[PUBLIC, "env:A_KEY"]))
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"keys": [SECRET]}, "keys.0"),
        ({"keys": [f"  {SECRET}"]}, "keys.0"),
        ({"keys": [PUBLIC, {"key": SECRET}]}, "keys.1.key"),
        ({"keys": SECRET}, "keys"),
        ({"keys": [SECRET.upper()]}, "keys.0"),
        ({"keys": [SECRET.partition(":")[2]]}, "keys.0"),
        ({"keys": [{"key": [SECRET]}]}, "keys.0.key"),
        ({"keys": [{"key": PUBLIC, "status": SECRET}]}, "keys.0.status"),
        ({"keyring": SECRET}, "keyring"),
        ({"name": SECRET}, "name"),
        ({"revoked_keys": [SECRET]}, "revoked_keys.0"),
        ({"limits": SECRET}, "limits"),
    ],
)
def test_a_shared_secret_in_clear_is_refused_and_never_shown(load: Load, changes: dict[str, Any], where: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=rf"at {where}: ") as caught:
        load(policy(**changes))
    assert SECRET.partition(":")[2][:20].lower() not in str(caught.value).lower()


@pytest.mark.parametrize("changes", [{SECRET: 1}, {"keys": [{"key": PUBLIC, SECRET: 1}]}])
def test_a_shared_secret_is_not_shown_as_an_unknown_key_either(load: Load, changes: dict[str, Any]) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"unknown key (keys\.0\.)?\.\.\.: ") as caught:
        load(policy(**changes))
    assert SECRET[12:] not in str(caught.value)


def test_the_error_for_a_shared_secret_says_where_it_belongs(load: Load) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"Put it into an environment variable, write env:NAME here"):
        load(policy(keys=[SECRET]))


def test_a_keyring_is_found_beside_the_policy(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: sp.SigningKey
) -> None:
    Path("keys").mkdir()
    sp.Keyring().with_key(key.verification_key).save("keys/keyring.json")
    text = policy(keys=..., keyring="keys/keyring.json")
    assert [found.key_id for found in load(text).trusted_keys] == [key.key_id]
    assert len(load(policy(keyring="keys/keyring.json", threshold=2)).trusted_keys) == 2
    assert len(load(policy(keyring=str(tmp_path / "keys/keyring.json"))).trusted_keys) == 2
    monkeypatch.chdir("/")
    assert len(sp.TrustPolicy.load(tmp_path / "policy.yaml").trusted_keys) == 2


def test_a_key_that_the_keyring_revokes_cannot_be_brought_back_by_listing_it(load: Load, key: sp.SigningKey) -> None:
    sp.Keyring().with_key(key.verification_key).revoked(key.key_id).save("keyring.json")
    (found,) = load(policy(keys=..., keyring="keyring.json")).trusted_keys
    assert found.status is sp.KeyStatus.REVOKED
    with pytest.raises(sp.ConfigurationError, match=rf"at keyring: .*found key {key.key_id}"):
        load(policy(keys=[str(key.verification_key)], keyring="keyring.json"))


@pytest.mark.parametrize("status", ["active", "revoked"])
def test_a_key_stands_once(load: Load, status: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=r"at keys\.1: expected each key once"):
        load(policy(keys=[{"key": PUBLIC, "status": status}, PUBLIC]))


@pytest.mark.parametrize("content", [None, "{}", "not json", "x" * 2_000_000])
def test_a_keyring_that_is_not_usable_is_named_with_the_policy(load: Load, content: str | None) -> None:
    if content is not None:
        Path("keyring.json").write_text(content)
    with pytest.raises(sp.ConfigurationError, match=r"policy\.yaml is not usable at keyring: .*keyring\.json"):
        load(policy(keyring="keyring.json"))


# mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters_version: 2026_11_21", r"at parameters_version \(line 3\): .*a number\. Put it in quotes"),
        ("parameters_version: 2026-11-21", r"at parameters_version \(line 3\): .*a date\. Put it in quotes"),
        ("parameters_version: 20261121", "expected text, in quotes if it could be a number.*found 20261121"),
        ("version: 0.1", "at version: expected a range of versions in quotes.*found 0.1"),
        ("name: yes", r"at name \(line 3\)"),
        ("minimum_serial: 010", r"at minimum_serial \(line 3\): .*plain decimal digits, found 010"),
        ("minimum_serial: 1_000", r"at minimum_serial \(line 3\)"),
        ("minimum_serial: on", r"at minimum_serial \(line 3\): .*true or false"),
        ("minimum_serial: 1\nminimum_serial: 0", r"at minimum_serial \(line 4\): expected each key once"),
        ("limits:\n  package_bytes: 1e9", r"at limits\.package_bytes \(line 4\)"),
        ("package_digest:", "at package_digest: expected a value, or the whole key left out, found nothing"),
        ("revoked_keys:", "at revoked_keys: expected a value, or the whole key left out, found nothing"),
        ("allowed_globals: ~", "at allowed_globals: expected a value"),
        ("limits:\n  package_bytes:", r"at limits\.package_bytes: expected a value"),
        ("maximum_age: &a 1d", r"\(line 3\): expected no anchors and aliases"),
    ],
)
def test_what_yaml_would_take_for_something_else_is_refused(load: Load, text: str, message: str) -> None:
    head = f"keys: ['{PUBLIC}']\n" + ("" if text.startswith("name") else "name: m\n")
    with pytest.raises(sp.ConfigurationError, match=message):
        load(f"{head}{'# a comment' + chr(10) if text.startswith('name') else ''}{text}\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ...}, "at name: expected a value, found no such key"),
        ({"name": ""}, "at name: expected text"),
        ({"name": "two words"}, "at name: expected text.*found 'two words'"),
        ({"name": ["m"]}, "at name: expected text.*found a list"),
        ({"name": True}, "at name: expected text.*found true"),
        ({"minimum_serail": 7}, r"has the unknown key minimum_serail: .*Did you mean minimum_serial\?"),
        ({"mimimum_serial": 7, "name": ...}, r"unknown key mimimum_serial"),
        ({"something_else": 7}, "unknown key something_else: expected some of name, version"),
        ({"limits": {"package_byte": 7}}, r"unknown key limits\.package_byte: .*Did you mean package_bytes\?"),
        ({"keys": [{"key": PUBLIC, "until": "x"}]}, r"unknown key keys\.0\.until: expected some of key, not_before"),
        ({"keys": ...}, "trusts no key"),
        ({"keys": []}, "at keys: expected a list of one key or more, found an empty list"),
        ({"keys": PUBLIC}, "at keys: expected a list of one key or more, found another text"),
        ({"keys": [7]}, r"at keys\.0: expected ed25519:\.\.\., env:NAME, or a mapping.*found 7"),
        ({"keys": [[PUBLIC]]}, r"at keys\.0: expected ed25519"),
        ({"keys": [{}]}, r"at keys\.0\.key: expected a value, found no such key"),
        ({"keys": ["ed25519:AAAA"]}, r"at keys\.0: expected a public key as ed25519:"),
        ({"keys": [PUBLIC[:-1] + "!"]}, r"at keys\.0: expected a public key"),
        ({"keys": ["ed25519:" + "A" * 43]}, r"at keys\.0: verification key"),
        ({"keys": ["env:"]}, r"at keys\.0: expected a public key as ed25519:\.\.\., or env:NAME"),
        ({"keys": ["file:key.txt"]}, r"at keys\.0: "),
        ({"keys": [{"key": PUBLIC, "status": "Active"}]}, r"at keys\.0\.status: .*retired or revoked, found 'Active'"),
        ({"keys": [{"key": PUBLIC, "not_after": "2027-01-01"}]}, r"at keys\.0\.not_after: expected a time in UTC"),
        ({"keys": [{"key": PUBLIC, "not_after": "2027-02-30T00:00:00Z"}]}, r"at keys\.0\.not_after: expected a time"),
        ({"keys": [{"key": PUBLIC, "not_after": "2027-01-01T00:00:00+01:00"}]}, r"at keys\.0\.not_after"),
        (
            {"keys": [{"key": PUBLIC, "not_before": "2027-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"}]},
            r"at keys\.0: key .* would count until before it begins to",
        ),
        ({"keyring": 7}, "at keyring: expected the path of a keyring file, found 7"),
        ({"keyring": "a\0b"}, "at keyring: expected the path of a keyring file"),
        ({"threshold": 0}, "at threshold: expected a whole number from 1"),
        ({"threshold": 2}, "no package could reach the threshold"),
        ({"threshold": True}, "at threshold: expected a whole number.*found true"),
        ({"threshold": "1"}, "at threshold: expected a whole number.*found '1'"),
        ({"minimum_serial": -1}, "at minimum_serial: expected a whole number from 0, found -1"),
        ({"minimum_serial": 1.5}, "at minimum_serial: expected a whole number"),
        ({"minimum_serial": 2**53}, "at minimum_serial: expected a whole number"),
        ({"maximum_age": "1y"}, "at maximum_age: expected a time such as 90d"),
        ({"maximum_age": 90}, "at maximum_age: expected a time such as 90d"),
        ({"maximum_age": "0d"}, "at maximum_age: expected a time such as 90d"),
        ({"revoked_keys": GOOD_ID}, "at revoked_keys: expected a list of key ids"),
        ({"revoked_keys": [GOOD_ID, GOOD_ID[:-1]]}, r"at revoked_keys\.1: expected a key id of 32"),
        ({"revoked_keys": [GOOD_ID + "\n"]}, r"at revoked_keys\.0: expected a key id of 32"),
        ({"revoked_digests": ["0" * 64]}, r"at revoked_digests\.0: expected the digest of a package"),
        ({"revoked_digests": ["md5:" + "0" * 32]}, r"at revoked_digests\.0"),
        ({"package_digest": "0" * 64}, "at package_digest: expected the digest of a package: blake3: or sha256: and"),
        ({"package_digest": ""}, "at package_digest: expected the digest of a package"),
        ({"package_digest": "md5:" + "0" * 32}, "at package_digest: expected the digest of a package"),
        ({"package_digest": "blake3:" + "A" * 64}, "at package_digest: expected the digest of a package"),
        ({"package_digest": DIGEST + "\n"}, "at package_digest: expected the digest of a package"),
        ({"package_digest": [DIGEST]}, "at package_digest: expected the digest of a package.*found a list"),
        ({"package_digest": None}, "at package_digest: expected a value"),
        ({"package_digests": DIGEST}, r"unknown key package_digests: .*Did you mean package_digest\?"),
        ({"signature_algorithms": []}, "at signature_algorithms: expected a list of one or more of ed25519"),
        (
            {"signature_algorithms": ["rsa"]},
            r"at signature_algorithms\.0: expected ed25519 or hmac-sha512, found 'rsa'",
        ),
        ({"digest_algorithms": ["md5"]}, r"at digest_algorithms\.0: expected blake3 or sha256, found 'md5'"),
        ({"digest_algorithms": "blake3"}, "at digest_algorithms: expected a list"),
        ({"allowed_globals": ["os.system"]}, r"at allowed_globals\.0: expected an exact name as module:name"),
        ({"allowed_globals": ["numpy:*"]}, r"at allowed_globals\.0: expected an exact name"),
        ({"allowed_globals": "numpy:ndarray"}, "at allowed_globals: expected a list of names"),
        ({"version": ">=x"}, "at version: expected a range of versions"),
        ({"limits": []}, "at limits: expected a mapping"),
        ({"limits": {"package_bytes": 0}}, r"at limits\.package_bytes: expected a whole number of bytes"),
        ({"limits": {"read_seconds": -1}}, r"at limits\.read_seconds: expected a number of seconds"),
        ({"limits": {"signatures": 1.5}}, r"at limits\.signatures: expected a whole number"),
    ],
)
def test_a_mistake_is_named_with_its_place(load: Load, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(sp.ConfigurationError, match=message) as caught:
        load(policy(**changes))
    assert "the trust policy policy.yaml " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "name", "- name: m", "a: [", "!!python/object/apply:os.system [echo]"])
def test_what_is_no_mapping_is_refused(load: Load, refused: Refused, text: str) -> None:
    with refused(sp.ConfigurationError, match=r"the trust policy policy\.yaml"):
        load(text)


def test_a_policy_file_that_is_missing_is_named(load: Load) -> None:
    with pytest.raises(
        sp.ConfigurationError, match=r"the trust policy missing\.yaml cannot be read: found No such file"
    ):
        sp.TrustPolicy.load("missing.yaml")
