"""`policy`, and the options by which other commands are told what to trust."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import signed_parameters as sp
from signed_parameters.times import format_time

Run = Callable[..., Any]
Write = Callable[..., str]
OTHER = str(sp.SigningKey.generate().verification_key)
DIGEST = "blake3:" + "0" * 64
PACKAGE = "sha256:" + "1" * 64


@pytest.fixture
def write(signed: Run) -> Write:
    """`write(minimum_serial=7)` writes `policy.yaml`, which trusts the key of `signed`, and returns its name."""
    key = Path("verification_key.txt").read_text().strip()

    def write_policy(**changes: object) -> str:
        fields = {"name": "m", "keys": [key], **changes}
        Path("policy.yaml").write_text(yaml.safe_dump({name: v for name, v in fields.items() if v is not ...}))
        return "policy.yaml"

    return write_policy


def _in(days: float) -> str:
    return format_time(datetime.now(UTC) + timedelta(days=days))


# --policy, --keyring, --threshold, --maximum-age


@pytest.mark.parametrize("command", [("verify", "p.zip"), ("pull", "p.zip", "out")])
def test_a_policy_file_takes_the_place_of_the_options(signed: Run, write: Write, command: tuple[str, ...]) -> None:
    signed(*command, "--policy", write(minimum_serial=7, maximum_age="1d"))
    refused = signed(*command, "--policy", write(minimum_serial=8), code=1)
    assert refused.stderr.startswith("RolledBack: ")
    assert "UnknownKey" in signed(*command, "--policy", write(keys=[OTHER]), code=1).stderr


@pytest.mark.parametrize(
    "command",
    [
        *(("verify", "p.zip"), ("pull", "p.zip", "out"), ("initialize", "p.zip", "out")),
        *(("latest", "p.zip", "--key", "signing_key.json"), ("resign", "p.zip", "--key", "approver.json")),
    ],
    ids=lambda command: command[0],
)
def test_a_policy_file_that_names_one_package(signed: Run, write: Write, command: tuple[str, ...]) -> None:
    sp.SigningKey.generate().save("approver.json")
    told = signed.told(signed("inspect", "p.zip", "--json"))["statement"]["package_digest"]
    digest = ":".join(*told.items())
    before = sorted(Path().iterdir())
    refused = signed(*command, "--policy", write(package_digest=DIGEST), code=1)
    assert "DigestMismatch: the package has another digest than the policy names" in refused.stderr
    assert f"expected {DIGEST}, found {digest}. The policy accepts one package only" in refused.stderr
    assert [path for path in sorted(Path().iterdir()) if path.name != "policy.yaml"] == before
    signed(*command, "--policy", write(package_digest=digest))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--name", "m"),
        ("--key", "verification_key.txt"),
        ("--keyring", "keyring.json"),
        ("--threshold", "1"),
        ("--version", ">=0"),
        ("--parameters-version", "1"),
        ("--minimum-serial", "0"),
        ("--maximum-age", "1d"),
        ("--revoked-key", "0" * 32),
        ("--revoked-digest", DIGEST),
    ],
)
def test_nothing_is_said_beside_a_policy_file(signed: Run, write: Write, option: str, value: str) -> None:
    arguments = ("verify", "p.zip", "--policy", write(), option, value)
    assert signed(*arguments, code=2).stdout == ""
    answer = signed.told(signed(*arguments, "--json", code=2))
    assert answer["error"] == "UsageError"
    assert f"put what {option} says into the file" in answer["message"]


@pytest.mark.parametrize(
    "options",
    [(), ("--name", "m"), ("--key", "verification_key.txt"), ("--keyring", "keyring.json"), ("--minimum-serial", "7")],
)
def test_something_has_to_be_trusted(signed: Run, options: tuple[str, ...]) -> None:
    assert "--policy FILE, or --name and one --key" in signed("verify", "p.zip", *options, code=2).stderr


@pytest.mark.parametrize("path", ["missing.yaml", ".", "p.zip", "x" * 5000, "/dev/zero"])
def test_a_policy_file_that_is_none(signed: Run, path: str) -> None:
    for arguments in (("verify", "p.zip", "--policy", path), ("policy", path)):
        result = signed(*arguments, code=2)
        assert result.stderr.startswith("ConfigurationError: the trust policy")
        assert result.stderr.count("\n") == 1


def test_keys_of_a_keyring_are_trusted(signed: Run) -> None:
    key = sp.SigningKey.load("signing_key.json")
    ring = sp.Keyring().with_key(key.verification_key)
    ring.save("keyring.json")
    signed("verify", "p.zip", "--name", "m", "--keyring", "keyring.json")
    signed("verify", "p.zip", "--name", "m", "--keyring", "keyring.json", "--key", OTHER)
    ring.revoked(key.key_id).save("keyring.json")
    refused = signed("verify", "p.zip", "--name", "m", "--keyring", "keyring.json", "--key", OTHER, code=1)
    assert refused.stderr.startswith("RevokedKey: ")
    again = ("--keyring", "keyring.json", "--key", "verification_key.txt")
    assert "keys twice" in signed("verify", "p.zip", "--name", "m", *again, code=2).stderr


def test_a_key_may_come_from_the_environment(signed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", Path("verification_key.txt").read_text())
    signed("verify", "p.zip", "--name", "m", "--key", "env:A_KEY")
    monkeypatch.delenv("A_KEY")
    assert "env:A_KEY is missing" in signed("verify", "p.zip", "--name", "m", "--key", "env:A_KEY", code=2).stderr


def test_a_threshold_asks_for_more_keys(signed: Run) -> None:
    trusted = ("--name", "m", "--key", "verification_key.txt", "--key", OTHER)
    signed("verify", "p.zip", *trusted, "--threshold", "1")
    assert signed("verify", "p.zip", *trusted, "--threshold", "2", code=1).stderr.startswith("TooFewSignatures: ")
    assert "no package could reach" in signed("verify", "p.zip", *trusted, "--threshold", "3", code=2).stderr
    assert "Error: " in signed("verify", "p.zip", *trusted, "--threshold", "0", code=2).stderr


def test_a_maximum_age_refuses_what_is_older(signed: Run, workshop: Any) -> None:
    created = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    workshop.put_signed({"a": b"a"}, created=created)
    for name, data in workshop.storage.objects.items():
        Path(name).write_bytes(data)
    trusted = ("--name", "m", "--key", str(workshop.key.verification_key))
    signed("verify", "package.zip", *trusted, "--maximum-age", "3h")
    refused = signed("verify", "package.zip", *trusted, "--maximum-age", "2h", code=1)
    assert refused.stderr.startswith("Expired: ")
    assert "--maximum-age is not usable" in signed("verify", "x", *trusted, "--maximum-age", "1y", code=2).stderr


# policy


def test_a_policy_is_told_in_words(signed: Run, write: Write) -> None:
    key = sp.SigningKey.load("signing_key.json")
    path = write(
        version=">=0.1,<0.2",
        parameters_version="1",
        package_digest=PACKAGE,
        minimum_serial=7,
        maximum_age="48h",
        keys=[str(key.verification_key), {"key": OTHER, "status": "revoked"}],
        revoked_digests=[DIGEST],
        allowed_globals=["numpy:ndarray"],
        limits={"package_bytes": 1000},
    )
    shown = signed("policy", path).stdout
    for text in (
        "policy.yaml can be used",
        "model          m\n",
        "version        >=0.1,<0.2\n",
        f"package        {PACKAGE}, and no other\n",
        "serial         7 or later\n",
        "age            less than 2d\n",
        "signed by      1 of 2 trusted keys:\n",
        f"{key.key_id} ed25519, active, counts\n",
        f"{sp.VerificationKey.parse(OTHER).key_id} ed25519, revoked: counts no more\n",
        f"revoked        {DIGEST}\n",
        "pickles import numpy:ndarray\n",
        "at most 1,000 bytes\n",
    ):
        assert text in shown
    assert "warning" not in shown


def test_a_policy_is_told_as_an_object(signed: Run, write: Write) -> None:
    answer = signed.told(signed("policy", write(minimum_serial=7, maximum_age="90d"), "--json"))
    assert answer["policy"] == "policy.yaml"
    assert answer["warnings"] == []
    demands = answer["demands"]
    assert demands["package_digest"] is None
    assert (demands["name"], demands["minimum_serial"], demands["maximum_age"]) == ("m", 7, "90d")
    (key,) = demands["keys"]
    assert key["key_id"] == sp.SigningKey.load("signing_key.json").key_id
    assert (key["status"], key["counts_now"]) == ("active", True)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"minimum_serial": ...}, "there is no minimum_serial"),
        ({"maximum_age": ...}, "there is no maximum_age"),
        ({"keys": [{"key": OTHER, "not_after": _in(29)}]}, "only: have packages signed anew"),
        ({"keys": [{"key": OTHER, "not_after": _in(-1)}]}, "no package can pass: 1 keys have to have signed, and 0"),
        ({"keys": [{"key": OTHER, "not_before": _in(1)}]}, "no package can pass"),
        ({"keys": [{"key": OTHER, "status": "revoked"}]}, "no package can pass"),
        ({"revoked_keys": [sp.VerificationKey.parse(OTHER).key_id], "keys": [OTHER]}, "no package can pass"),
        ({"signature_algorithms": ["hmac-sha512"]}, "no package can pass"),
        ({"package_digest": DIGEST, "revoked_digests": [DIGEST]}, "no package can pass: the one that it names is rev"),
        ({"package_digest": DIGEST, "digest_algorithms": ["sha256"]}, "digested by blake3, which is not allowed"),
        ({"keys": ["env:A_SECRET"]}, "is a shared secret"),
    ],
)
def test_what_a_policy_leaves_open_is_warned_of(
    signed: Run, write: Write, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], warning: str
) -> None:
    secret = str(sp.SigningKey.generate("hmac-sha512").verification_key)
    monkeypatch.setenv("A_SECRET", secret)
    path = write(**{"minimum_serial": 7, "maximum_age": "90d", **changes})
    (line,) = [line for line in signed("policy", path).stdout.splitlines() if line.startswith("warning: ")]
    assert warning in line
    (told,) = signed.told(signed("policy", path, "--json"))["warnings"]
    assert f"warning: {told}" == line
    assert secret[12:] not in signed("policy", path, "--json").output


def test_a_key_that_counts_for_longer_is_not_warned_of(signed: Run, write: Write) -> None:
    path = write(minimum_serial=7, maximum_age="90d", keys=[{"key": OTHER, "not_after": _in(31)}])
    assert "warning" not in signed("policy", path).stdout


def test_a_policy_that_names_one_package_needs_no_minimum_serial(signed: Run, write: Write) -> None:
    answer = signed.told(signed("policy", write(package_digest=DIGEST, maximum_age="90d"), "--json"))
    assert (answer["warnings"], answer["demands"]["package_digest"]) == ([], DIGEST)


def test_a_policy_that_is_not_usable_is_told_with_its_place(signed: Run, write: Write) -> None:
    result = signed("policy", write(minimum_serail=7), code=2)
    assert "unknown key minimum_serail" in result.stderr
    assert result.stdout == ""
    answer = signed.told(signed("policy", "policy.yaml", "--json", code=2))
    assert answer["error"] == "ConfigurationError"
    assert answer["message"] in result.stderr


def test_the_schema_is_printed(run: Run) -> None:
    schema = json.loads(run("policy", "--schema").stdout)
    assert schema["properties"]["minimum_serial"]["minimum"] == 0
    assert run.told(run("policy", "--schema", "--json")) == schema


@pytest.mark.parametrize("arguments", [(), ("policy.yaml", "--schema")])
def test_the_command_does_one_thing_at_a_time(run: Run, arguments: tuple[str, ...]) -> None:
    assert "either the policy file to check, or --schema" in run("policy", *arguments, code=2).stderr
