import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., Any]
TRUST = ("--key", "signing_key.json", "--name", "m", "--trust", "verification_key.txt")


def _publish_next(run: Any, serial: str) -> None:
    """Build and sign a package of another content, with a serial."""
    Path("files/serial").write_text(serial)
    run("build", f"p-{serial}.zip", "files")
    run("sign", f"p-{serial}.zip", *run.SIGNING, "--serial", serial)


# latest


def test_the_latest_package_is_published_and_followed(signed: Any) -> None:
    answer = signed.told(signed("latest", "p.zip", *TRUST, "--json"))
    assert answer == {"pointer": "m@latest", "package": "p.zip"}
    assert os.path.exists("m@latest.dsse.json")
    assert "serial             7" in signed("verify", "m@latest", *signed.POLICY).stdout
    _publish_next(signed, "8")
    assert signed("latest", "p-8.zip", *TRUST).stdout == "m@latest leads to p-8.zip\n"
    assert "serial             8" in signed("verify", "m@latest", *signed.POLICY).stdout


def test_through_s3(signed: Any, bucket: str) -> None:
    folder = f"s3://{bucket}/models"
    signed("push", "p.zip", folder)
    signed("latest", f"{folder}/p.zip", *TRUST, "--expires-in", "30d")
    assert "verified" in signed("verify", f"{folder}/m@latest", *signed.POLICY).stdout
    answer = signed.told(signed("inspect", f"{folder}/m@latest", "--json"))
    assert (answer["kind"], answer["verified"]) == ("pointer", False)
    assert answer["statement"]["package_name"] == "p.zip"
    assert answer["statement"]["expires"] > answer["statement"]["created"]


def test_going_back_is_asked_for(signed: Any) -> None:
    _publish_next(signed, "6")
    signed("latest", "p.zip", *TRUST)
    result = signed("latest", "p-6.zip", *TRUST, code=1)
    assert result.stderr.startswith("RolledBack: ")
    assert "--back" in result.stderr
    assert "RolledBack" in signed("latest", "p-6.zip", *TRUST, "--back", "--minimum-serial", "7", code=1).stderr
    assert "serial             7" in signed("verify", "m@latest", *signed.POLICY).stdout
    signed("latest", "p-6.zip", *TRUST, "--back")
    assert "serial             6" in signed("verify", "m@latest", *signed.POLICY).stdout


def test_the_policy_is_a_file(signed: Any) -> None:
    public = Path("verification_key.txt").read_text().strip()
    Path("policy.yaml").write_text(yaml.safe_dump({"name": "m", "keys": [public], "minimum_serial": 7}))
    signed("latest", "p.zip", "--key", "signing_key.json", "--policy", "policy.yaml")
    signed("verify", "m@latest", "--policy", "policy.yaml")
    assert "--policy stands alone" in signed("latest", "p.zip", *TRUST, "--policy", "policy.yaml", code=2).stderr


def test_what_a_pointer_s_second_signer_does_is_said(signed: Any) -> None:
    signed("keygen", "--out", "approver.json", "--verification-key", "approver.txt")
    policy = {"name": "m", "keys": [Path(key).read_text().strip() for key in ("approver.txt", "verification_key.txt")]}
    Path("policy.yaml").write_text(yaml.safe_dump({**policy, "threshold": 2}))
    signed("resign", "p.zip", "--key", "approver.json", "--policy", "policy.yaml")
    said = signed("latest", "p.zip", "--key", "signing_key.json", "--policy", "policy.yaml").stdout.splitlines()
    signed("verify", "m@latest", "--policy", "policy.yaml", code=1)
    command = said[-1].replace("KEY", "approver.json").replace("FILE", "policy.yaml").split()
    signed(*command[1:])
    signed("verify", "m@latest", "--policy", "policy.yaml")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("missing.zip", *TRUST), 3, "NotFound"),
        (("m@latest", *TRUST), 2, "is a pointer's address"),
        (("files/", *TRUST), 2, "names no package"),
        (("p.zip", *TRUST, "--expires-in", "soon"), 2, "expected a time such as 90d"),
        (("p.zip", *TRUST, "--minimum-serial", "8"), 1, "RolledBack"),
        (("p.zip", "--key", "missing.json", *TRUST[2:]), 2, "cannot be read"),
        (("p.zip", "--key", "other.json", *TRUST[2:]), 2, "is not in the keyring"),
        (("p.zip", *TRUST[:4], "--trust", "other.txt"), 2, "is not in the keyring"),
        (("p.zip", *TRUST[:2]), 2, "--trust or --keyring"),
        (("p.zip", *TRUST[2:]), 2, "Missing option '--key'"),
    ],
)
def test_latest_refuses(signed: Any, arguments: tuple[str, ...], code: int, message: str) -> None:
    signed("keygen", "--out", "other.json", "--verification-key", "other.txt")
    result = signed("latest", *arguments, code=code)
    assert message in " ".join(result.stderr.split())
    assert signed.told(signed("latest", *arguments, "--json", code=code))["error"]
    assert not os.path.exists("m@latest.dsse.json")


def test_a_pulled_pointer_gives_the_package_by_its_own_name(signed: Any) -> None:
    signed("latest", "p.zip", *TRUST)
    signed("pull", "m@latest", "out", *signed.POLICY)
    assert sorted(os.listdir("out")) == ["m-0.1.0-1.zip", "m-0.1.0-1.zip.dsse.json"]
    signed("verify", "out/m-0.1.0-1.zip", *signed.POLICY)


def test_inspect_shows_a_pointer_and_that_it_is_not_verified(signed: Any) -> None:
    signed("latest", "p.zip", *TRUST)
    for name in ("m@latest", "m@latest.dsse.json"):
        shown = signed("inspect", name).stdout.splitlines()
        assert shown[0].startswith("NOT VERIFIED")
        assert any(line.startswith("leads to           p.zip, blake3:") for line in shown)
    assert signed.told(signed("inspect", "p.zip", "--json"))["kind"] == "package"


# next-serial


def test_next_serial_prints_the_number_only(signed: Any) -> None:
    assert signed("next-serial", ".", *signed.POLICY).stdout == "8\n"
    assert signed("next-serial", "empty", *signed.POLICY).stdout == "1\n"
    assert signed.told(signed("next-serial", ".", *signed.POLICY, "--json")) == {"serial": 8}
    assert signed("next-serial", ".", *signed.POLICY, "--minimum-serial", "100").stdout == "100\n"


def test_next_serial_of_a_bucket(signed: Any, bucket: str) -> None:
    assert signed("next-serial", f"s3://{bucket}", *signed.POLICY).stdout == "1\n"
    signed("push", "p.zip", f"s3://{bucket}/line")
    assert signed("next-serial", f"s3://{bucket}", *signed.POLICY).stdout == "8\n"
    assert "NotFound" in signed("next-serial", "s3://no-such-bucket-here", *signed.POLICY, code=3).stderr


def test_next_serial_prints_nothing_where_it_fails(signed: Any) -> None:
    for arguments, code in ((("gopher://host",), 2), (("s3://",), 2), ((".", "--name", "m"), 2)):
        policy = () if "--name" in arguments else signed.POLICY
        assert signed("next-serial", *arguments, *policy, code=code).stdout == ""
