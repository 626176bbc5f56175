import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import signed_parameters as sp
from signed_parameters.envelope import Envelope

COMMAND = Path(sys.executable).with_name("signed-parameters")
TRUST = ("--key", "new.json", "--trust", "verification_key.txt")


@pytest.fixture
def two(signed: Any) -> Any:
    """As `signed`, where there is a second pair of keys, new.json and new.txt."""
    signed("keygen", "--out", "new.json", "--verification-key", "new.txt")
    return signed


def _signers(path: str | Path) -> int:
    return len(Envelope.from_bytes(Path(path).read_bytes()).signatures)


def _copies(number: int) -> list[Path]:
    data = Path("p.zip.dsse.json").read_bytes()
    Path("line").mkdir()
    paths = [Path(f"line/{index:04}.zip.dsse.json") for index in range(number)]
    for path in paths:
        path.write_bytes(data)
    return paths


def test_a_package_gets_one_more_signature(two: Any) -> None:
    assert two("resign", "p.zip", *TRUST).stdout.splitlines() == [
        "signed p.zip",
        "signed 1, signed already 0, refused 0",
    ]
    for key in ("verification_key.txt", "new.txt"):
        two("verify", "p.zip", "--name", "m", "--key", key)
    assert "signed 0, signed already 1" in two("resign", "p.zip", *TRUST).stdout


def test_replacing(two: Any) -> None:
    two("resign", "p.zip", *TRUST, "--replace")
    two("verify", "p.zip", "--name", "m", "--key", "new.txt")
    assert "UnknownKey" in two("verify", "p.zip", *two.POLICY, code=1).stderr


def test_after_a_rotation_everything_in_a_bucket_gets_the_new_key_s_signature(run: Any, bucket: str) -> None:
    Path("a").write_text("a")
    run("keygen", "--out", "old.json", "--keyring", "keyring.json")
    run("build", "p.zip", "a=a")
    run("sign", "p.zip", "--key", "old.json", *run.SIGNING[2:], "--serial", "1")
    for folder in ("one", "two"):
        run("push", "p.zip", f"s3://{bucket}/{folder}")
    run("rotate", "--keyring", "keyring.json", "--out", "new.json")
    answer = run.told(run("resign", f"s3://{bucket}", "--key", "new.json", "--keyring", "keyring.json", "--json"))
    assert answer["signed"] == [f"s3://{bucket}/one/p.zip", f"s3://{bucket}/two/p.zip"]
    assert (answer["skipped"], answer["failed"], answer["dry_run"]) == ([], [], False)
    assert answer["key_id"] == sp.SigningKey.load("new.json").key_id
    run("revoke", sp.SigningKey.load("old.json").key_id, "--keyring", "keyring.json")
    run("verify", f"s3://{bucket}/two/p.zip", "--name", "m", "--keyring", "keyring.json")
    result = run("resign", f"s3://{bucket}", "--key", "old.json", "--keyring", "keyring.json", code=2)
    assert "is revoked" in result.stderr


def test_the_approver_adds_the_second_signature(two: Any) -> None:
    keys = [Path(name).read_text().strip() for name in ("verification_key.txt", "new.txt")]
    Path("policy.yaml").write_text(yaml.safe_dump({"name": "m", "keys": keys, "threshold": 2, "minimum_serial": 7}))
    assert "TooFewSignatures" in two("verify", "p.zip", "--policy", "policy.yaml", code=1).stderr
    two("resign", "p.zip", "--key", "new.json", "--policy", "policy.yaml")
    two("verify", "p.zip", "--policy", "policy.yaml")
    Path("policy.yaml").write_text(yaml.safe_dump({"name": "m", "keys": keys, "minimum_serial": 8}))
    two("keygen", "--out", "third.json", "--verification-key", "third.txt")
    assert "RolledBack" in two("resign", "p.zip", "--key", "third.json", "--policy", "policy.yaml", code=1).stderr


def test_what_is_refused_is_listed_and_stops_nothing_else(two: Any) -> None:
    paths = _copies(3)
    paths[1].write_bytes(paths[1].read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))
    before = paths[1].read_bytes()
    result = two("resign", "line", *TRUST, code=1)
    assert result.stdout.splitlines() == [
        f"refused line/0001.zip: BadSignature: {result.stdout.splitlines()[0].partition('BadSignature: ')[2]}",
        "signed 2, signed already 0, refused 1",
    ]
    assert [_signers(path) for path in paths] == [2, 1, 2]
    assert paths[1].read_bytes() == before
    answer = two.told(two("resign", "line", *TRUST, "--json", code=1))
    assert [(failed["uri"], failed["error"]) for failed in answer["failed"]] == [("line/0001.zip", "BadSignature")]
    assert len(answer["skipped"]) == 2


def test_a_dry_run_says_what_would_be_done(two: Any) -> None:
    paths = _copies(2)
    assert two("resign", "line", *TRUST, "--dry-run").stdout.splitlines() == [
        "would sign line/0000.zip",
        "would sign line/0001.zip",
        "would sign 2, signed already 0, refused 0",
    ]
    assert [_signers(path) for path in paths] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("p.zip", "--key", "new.json"), 2, "--keyring FILE, --trust KEY, or --policy FILE"),
        (("p.zip", *TRUST, "--policy", "policy.yaml"), 2, "--policy stands alone"),
        (("p.zip", *TRUST[2:]), 2, "Missing option '--key'"),
        (("p.zip", "--key", "missing.json", *TRUST[2:]), 2, "cannot be read"),
        (("p.zip", *TRUST[:2], "--trust", "missing.txt"), 2, "missing.txt"),
        (("p.zip", *TRUST[:2], "--keyring", "missing.json"), 2, "missing.json"),
        (("p.zip", *TRUST[:2], "--policy", "missing.yaml"), 2, "missing.yaml"),
        (("p.zip", *TRUST[:2], "--trust", "new.txt"), 1, "UnknownKey"),
        (("missing.zip", *TRUST), 3, "there is no envelope at or below missing.zip"),
        (("", *TRUST), 2, "the address is empty"),
        (("gopher://host", *TRUST), 2, "unknown kind"),
        (("s3://", *TRUST), 2, "names no bucket"),
    ],
)
def test_resign_refuses(two: Any, arguments: tuple[str, ...], code: int, message: str) -> None:
    before = Path("p.zip.dsse.json").read_bytes()
    result = two("resign", *arguments, code=code)
    assert message in " ".join(result.stderr.split())
    assert two.told(two("resign", *arguments, "--json", code=code))["error"]
    assert Path("p.zip.dsse.json").read_bytes() == before


def test_progress_is_shown_on_a_terminal_only(two: Any) -> None:
    _copies(20)
    command = [COMMAND, "resign", "line", *TRUST]
    done = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    terminal, end = pty.openpty()
    try:
        shown = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, stderr=end, timeout=60, check=True)
        os.close(end)
        bar = b""
        try:
            while part := os.read(terminal, 65_536):
                bar += part
        except OSError:  # how a terminal ends on Linux
            pass
    finally:
        os.close(terminal)
    assert b"100%" in bar
    assert shown.stdout.count(b"\n") == 1
    assert shown.stdout.startswith(b"{")


def test_a_run_that_is_interrupted_leaves_whole_envelopes(two: Any) -> None:
    paths = _copies(1_000)
    size = paths[0].stat().st_size
    process = subprocess.Popen(
        [COMMAND, "resign", "line", *TRUST], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while paths[0].stat().st_size == size and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "ended by SIGINT\n"
    signed = sum(_signers(path) == 2 for path in paths)
    assert 0 < signed < 1_000
    assert len(os.listdir("line")) == 1_000
    assert f"signed {1_000 - signed}, signed already {signed}, refused 0" in two("resign", "line", *TRUST).stdout
