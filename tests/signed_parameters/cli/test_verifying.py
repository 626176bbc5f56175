"""`verify` and `inspect`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp

Run = Callable[..., Any]
LONG = "x" * 5000


def test_verify_shows_the_statement(signed: Run) -> None:
    shown = signed("verify", "p.zip", *signed.POLICY, "--minimum-serial", "7", "--version", "==0.1.*").stdout
    for text in ("verified p.zip", "m 0.1.0", "serial             7", "expires            never"):
        assert text in shown
    assert sp.SigningKey.load("signing_key.json").key_id in shown


def test_verify_answers_with_an_object(signed: Run) -> None:
    answer = signed.told(signed("verify", "p.zip", *signed.POLICY, "--json"))
    assert answer["verified"] is True
    assert answer["key_id"] == sp.SigningKey.load("signing_key.json").key_id
    assert answer["statement"]["name"] == "m"


def test_verify_takes_a_key_as_text_and_one_of_several(signed: Run) -> None:
    other = sp.SigningKey.generate().verification_key
    signed("verify", "p.zip", "--name", "m", "--key", str(other), "--key", Path("verification_key.txt").read_text())


def test_verify_with_a_shared_secret(run: Run) -> None:
    run("keygen", "--algorithm", "hmac-sha512")
    Path("a").write_text("a")
    run("build", "p.zip", "a=a")
    run("sign", "p.zip", *run.SIGNING, "--serial", "1")
    result = run("verify", "p.zip", *run.POLICY)
    assert Path("verification_key.txt").read_text().strip()[12:] not in result.output


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--name=other"], "NameMismatch"),
        (["--version=>=0.2"], "NameMismatch"),
        (["--parameters-version=2"], "NameMismatch"),
        (["--minimum-serial=8"], "RolledBack"),
        (["--revoked-key=KEY_ID"], "RevokedKey"),
        (["--revoked-digest=DIGEST"], "RevokedDigest"),
    ],
)
def test_verify_refuses_by_the_policy(signed: Run, options: list[str], error: str) -> None:
    seen = signed.told(signed("inspect", "p.zip", "--json"))
    digest = ":".join(*seen["statement"]["package_digest"].items())
    filled = [o.replace("KEY_ID", seen["claimed_key_ids"][0]).replace("DIGEST", digest) for o in options]
    result = signed("verify", "p.zip", *signed.POLICY, *filled, code=1)
    assert result.stderr.startswith(f"{error}: ")
    assert result.stdout == ""
    assert signed.told(signed("verify", "p.zip", *signed.POLICY, *filled, "--json", code=1))["error"] == error


def test_verify_refuses_another_key_and_other_bytes(signed: Run) -> None:
    other = str(sp.SigningKey.generate().verification_key)
    assert "UnknownKey" in signed("verify", "p.zip", "--name", "m", "--key", other, code=1).stderr
    with open("p.zip", "ab") as file:
        file.write(b"x")
    assert "DigestMismatch" in signed("verify", "p.zip", *signed.POLICY, code=1).stderr
    Path("p.zip").unlink()
    assert "NotFound" in signed("verify", "p.zip", *signed.POLICY, code=3).stderr


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("missing.zip", 3),
        ("files", 3),
        ("p.zip/", 2),
        ("", 2),
        ("..", 3),
        ("../../../p.zip", 3),
        (LONG, 3),
        ("gopher://host/p.zip", 2),
        ("file://host/p.zip", 2),
        ("file:///missing/p.zip", 3),
        ("file:///%00", 2),
        ("s3://", 2),
        ("s3://bucket", 2),
        ("s3:///p.zip", 2),
        ("s3://b/p.zip", 2),
        ("with\nline.zip", 3),
    ],
)
@pytest.mark.parametrize("command", ["verify", "inspect", "pull"])
def test_an_address_that_leads_nowhere(signed: Run, command: str, uri: str, code: int) -> None:
    arguments = {"verify": (uri, *signed.POLICY), "inspect": (uri,), "pull": (uri, "out", *signed.POLICY)}[command]
    result = signed(command, *arguments, code=code)
    assert result.stderr.count("\n") == 1
    assert set(signed.told(signed(command, *arguments, "--json", code=code))) == {"error", "message"}
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "key",
    ["", "files", "missing", "signing_key.json", "p.zip", "/dev/zero", "ed25519:", "rsa:AAAA", f"ed25519:{LONG}", LONG],
)
def test_a_key_that_is_none(signed: Run, key: str) -> None:
    result = signed("verify", "p.zip", "--name", "m", "--key", key, code=2)
    assert result.stderr.startswith("ConfigurationError: verification key")
    assert sp.SigningKey.load("signing_key.json").private_key.hex() not in result.output
    assert json.loads(Path("signing_key.json").read_text())["private_key"] not in result.output


@pytest.mark.parametrize(
    "option",
    ["--name=", "--version=abc", "--revoked-key=abc", "--revoked-digest=abc", "--revoked-digest=md5:00"],
)
def test_a_policy_that_is_not_usable(signed: Run, option: str) -> None:
    assert signed("verify", "p.zip", *signed.POLICY, option, code=2).stderr.startswith("ConfigurationError: ")


def test_inspect_says_loudly_that_nothing_is_verified(signed: Run) -> None:
    for uri in ("p.zip", "p.zip.dsse.json"):
        shown = signed("inspect", uri).stdout.splitlines()
        assert shown[0].startswith("NOT VERIFIED")
        assert "model.pkl needs  collections:OrderedDict" in shown
        assert any(line.startswith("claims signature") for line in shown)
        assert "verified p.zip" not in shown
    assert signed.told(signed("inspect", "p.zip", "--json"))["verified"] is False


def test_inspect_needs_no_package_and_believes_no_envelope(signed: Run) -> None:
    Path("p.zip").unlink()
    envelope = Path("p.zip.dsse.json")
    envelope.write_text(envelope.read_text().replace('"sig":"', '"sig":"AAAA'))
    assert "NOT VERIFIED" in signed("inspect", "p.zip").stdout
    envelope.write_text("{}")
    assert "MalformedPackage" in signed("inspect", "p.zip", code=1).stderr
    with envelope.open("wb") as file:
        file.truncate(100 << 20)
    assert "TooLarge" in signed("inspect", "p.zip", code=3).stderr
