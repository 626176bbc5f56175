"""The command `signed-parameters`: what each command does, what it says, and how it ends."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import signed_parameters as sp
from signed_parameters.cli import main

COMMANDS = ("build", "inspect", "keygen", "pull", "push", "sign", "verify")
POLICY = ("--name", "m", "--key", "verification_key.txt")
SIGNING = ("--key", "signing_key.json", "--name", "m", "--version", "0.1.0", "--parameters-version", "1")
LONG = "x" * 5000
PICKLE = b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R."

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("keygen", ...)` runs a command in an empty folder, and expects no traceback whatever happens."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def signed(run: Run) -> Run:
    """As `run`, where there are a key and a signed package `p.zip` of a folder with a pickle."""
    Path("files/plots").mkdir(parents=True)
    Path("files/model.pkl").write_bytes(PICKLE)
    Path("files/plots/auc.png").write_bytes(b"an image")
    run("keygen")
    run("build", "p.zip", "files")
    run("sign", "p.zip", *SIGNING, "--serial", "7")
    return run


@pytest.fixture
def bucket(s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> str:
    """A bucket that the environment leads to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    return s3_bucket


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _object(result: Result) -> Any:
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_every_command_explains_itself(run: Run) -> None:
    assert sorted(main.commands) == sorted(COMMANDS)
    for name in COMMANDS:
        assert "--json" in run(name, "--help").stdout


def test_the_installed_command_runs(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("signed-parameters")
    for arguments, code, says in [
        (["--version"], 0, sp.__version__),
        (["keygen"], 0, "key id"),
        (["keygen"], 2, "ConfigurationError: signing key signing_key.json exists already"),
        (["inspect", "missing.zip"], 3, "NotFound"),
        (["inspect"], 2, "Missing argument"),
    ]:
        done = subprocess.run([command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == code
        assert says in (done.stderr if code else done.stdout)
        assert "Traceback" not in done.stderr


# keygen


def test_keygen_writes_a_private_key_and_a_public_one(run: Run) -> None:
    answer = _object(run("keygen", "--json"))
    key = sp.SigningKey.load("signing_key.json")
    text = Path("verification_key.txt").read_text()
    assert sp.VerificationKey.parse(text) == key.verification_key
    assert text == f"{key.verification_key}\n"
    assert answer == {
        "signing_key": "signing_key.json",
        "verification_key": "verification_key.txt",
        "key_id": key.key_id,
    }
    assert (_mode("signing_key.json"), _mode("verification_key.txt")) == (0o600, 0o644)


def test_keygen_shows_the_public_key(run: Run) -> None:
    shown = run("keygen").stdout
    key = sp.SigningKey.load("signing_key.json")
    assert str(key.verification_key) in shown
    assert key.key_id in shown


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_keygen_never_shows_a_secret(run: Run, options: tuple[str, ...]) -> None:
    result = run("keygen", "--algorithm", "hmac-sha512", *options)
    key = sp.SigningKey.load("signing_key.json")
    secret = str(key.verification_key).removeprefix("hmac-sha512:")
    assert secret in Path("signing_key.json").read_text()
    assert secret not in result.output
    assert secret[:20] not in result.output
    assert (_mode("signing_key.json"), _mode("verification_key.txt")) == (0o600, 0o600)


def test_keygen_overwrites_no_key(run: Run) -> None:
    run("keygen")
    before = Path("signing_key.json").read_bytes()
    assert "exists already" in run("keygen", code=2).stderr
    assert Path("signing_key.json").read_bytes() == before


@pytest.mark.parametrize("public", [".", "taken", "missing/key.txt", LONG, "signing_key.json"])
def test_keygen_leaves_no_half_of_a_pair(run: Run, public: str) -> None:
    Path("taken").write_text("something")
    assert "cannot be written" in run("keygen", "--verification-key", public, code=2).stderr
    assert os.listdir() == ["taken"]
    assert Path("taken").read_text() == "something"


@pytest.mark.parametrize("out", [".", "missing/key.json", LONG])
def test_keygen_where_nothing_can_be_written(run: Run, out: str) -> None:
    assert run("keygen", "--out", out, code=2).stderr.startswith("ConfigurationError: signing key")
    assert os.listdir() == []


# build


def test_build_takes_a_folder_with_all_that_is_below(signed: Run) -> None:
    answer = _object(signed("build", "again.zip", "files", "--json"))
    assert answer == {"package": "again.zip", "files": ["model.pkl", "plots/auc.png"]}
    assert Path("again.zip").read_bytes() == Path("p.zip").read_bytes()


def test_build_takes_files_by_their_names(signed: Run) -> None:
    signed("build", "again.zip", "plots/auc.png=files/plots/auc.png", "model.pkl=files/model.pkl")
    assert Path("again.zip").read_bytes() == Path("p.zip").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "expected 1 to 10000 files, found 0"),
        (["missing"], "expected a folder, or NAME=PATH"),
        ([LONG], "expected a folder, or NAME=PATH"),
        (["a=missing"], "No such file"),
        ([f"a={LONG}"], "too long"),
        (["a=files"], "Is a directory"),
        (["a="], "expected a folder, or NAME=PATH"),
        (["=files/model.pkl"], "cannot be a file of a package"),
        (["../a=files/model.pkl"], "cannot be a file of a package"),
        (["/a=files/model.pkl"], "cannot be a file of a package"),
        (["a/../b=files/model.pkl"], "cannot be a file of a package"),
        (["a\nb=files/model.pkl"], r"a\nb"),
        (["a=files/model.pkl", "a=files/model.pkl"], "every name once"),
        (["a=files/model.pkl", "A=files/model.pkl"], "the same name"),
        (["files", "files"], "expected a folder, or NAME=PATH"),
        (["a=x.zip"], "would hold itself"),
        (["a=pipe"], "not a regular file"),
    ],
)
def test_build_refuses(signed: Run, arguments: list[str], message: str) -> None:
    Path("empty/nested").mkdir(parents=True)
    os.mkfifo("pipe")
    result = signed("build", "x.zip", *arguments, code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("x.zip").exists()


@pytest.mark.parametrize("kind", ["link to a folder", "broken link", "pipe", "hidden file"])
def test_build_leaves_nothing_out_of_a_folder_in_silence(signed: Run, kind: str) -> None:
    if kind == "link to a folder":
        Path("files/link").symlink_to("plots")
    elif kind == "broken link":
        Path("files/link").symlink_to("missing")
    elif kind == "pipe":
        os.mkfifo("files/pipe")
    else:
        Path("files/.hidden").write_text("")
    signed("build", "x.zip", "files", code=2)
    assert not Path("x.zip").exists()


def test_build_does_not_put_a_package_into_itself(signed: Run) -> None:
    signed("build", "files/x.zip", "files")
    before = Path("files/x.zip").read_bytes()
    for same in ("files/x.zip", "./files/../files/x.zip"):
        assert "would hold itself" in signed("build", same, "files", code=2).stderr
    assert Path("files/x.zip").read_bytes() == before


@pytest.mark.usefixtures("permissions_count")
def test_build_of_a_folder_with_an_unreadable_one(signed: Run) -> None:
    os.chmod("files/plots", 0)
    try:
        assert "Permission denied" in signed("build", "x.zip", "files", code=2).stderr
    finally:
        os.chmod("files/plots", 0o700)


@pytest.mark.parametrize("package", [".", "files", "missing/p.zip", LONG])
def test_build_where_nothing_can_be_written(signed: Run, package: str) -> None:
    before = sorted(os.listdir())
    assert "cannot be built" in signed("build", package, "files", code=2).stderr
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("name", ["two\nlines.zip", "\x1b[31mred.zip", os.fsdecode(b"\xff.zip")])
def test_what_steers_a_terminal_is_shown_escaped(signed: Run, name: str) -> None:
    shown = signed("build", name, "files").stdout
    assert shown.count("\n") == 1
    assert shown.rstrip("\n").isprintable()
    assert ascii(name)[1:-1] in shown
    assert Path(name).exists()


# sign


def test_sign_says_what_was_asked_for(signed: Run) -> None:
    options = ("--serial", "8", "--expires-in", "12h", "--digest", "sha256", "--json")
    answer = _object(signed("sign", "p.zip", *SIGNING, *options))
    assert answer == {"package": "p.zip", "envelope": "p.zip.dsse.json"}
    statement = _object(signed("inspect", "p.zip", "--json"))["statement"]
    created, expires = (datetime.fromisoformat(statement[name]) for name in ("created", "expires"))
    assert (expires - created, statement["serial"]) == (timedelta(hours=12), 8)
    assert list(statement["package_digest"]) == ["sha256"]
    assert statement["pickles"] == {"model.pkl": ["collections:OrderedDict"]}


def test_sign_takes_the_key_from_a_variable(signed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.zip.dsse.json").unlink()
    monkeypatch.setenv("SIGNING_KEY", Path("signing_key.json").read_text())
    signed("sign", "p.zip", "--key", "env:SIGNING_KEY", *SIGNING[2:], "--serial", "7")
    signed("verify", "p.zip", *POLICY)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"package": "missing.zip"}, 3, "NotFound"),
        ({"package": "files"}, 3, "expected a regular file"),
        ({"package": "."}, 3, "expected a regular file"),
        ({"package": LONG}, 3, "Unavailable"),
        ({"package": "files/model.pkl"}, 1, "MalformedPackage: the package is not a zip archive"),
        ({"--key": "missing.json"}, 2, "cannot be read"),
        ({"--key": "files"}, 2, "Is a directory"),
        ({"--key": "verification_key.txt"}, 2, "expected mode 0600"),
        ({"--key": "private_verification_key"}, 2, "expected a JSON object"),
        ({"--key": LONG}, 2, "File name too long"),
        ({"--key": "env:SIGNED_PARAMETERS_MISSING"}, 2, "Set SIGNED_PARAMETERS_MISSING"),
        ({"--name": "two\nlines"}, 2, "name: "),
        ({"--name": ""}, 2, "name: "),
        ({"--parameters-version": "../../x"}, 2, "parameters_version: "),
        ({"--version": "1 2"}, 2, "version: "),
        ({"--serial": "9007199254740992"}, 2, "serial: "),
        ({"--expires-in": "90"}, 2, "expected a time such as 90d"),
        ({"--expires-in": "0d"}, 2, "expected a time such as 90d"),
        ({"--expires-in": "-1d"}, 2, "expected a time such as 90d"),
        ({"--expires-in": "1.5h"}, 2, "expected a time such as 90d"),
        ({"--expires-in": "1w"}, 2, "expected a time such as 90d"),
        ({"--expires-in": "\u0661d"}, 2, "expected a time such as 90d"),
        ({"--expires-in": ""}, 2, "expected a time such as 90d"),
        ({"--expires-in": "9999999d"}, 2, "expected a time such as 90d"),
    ],
)
def test_sign_refuses(signed: Run, changes: dict[str, str], code: int, message: str) -> None:
    Path("private_verification_key").touch(0o600)
    Path("private_verification_key").write_text(Path("verification_key.txt").read_text())
    before = Path("p.zip.dsse.json").read_bytes()
    options = {"package": "p.zip", **dict(zip(SIGNING[::2], SIGNING[1::2], strict=True)), "--serial": "8", **changes}
    package = options.pop("package")
    arguments = ("sign", package, *(f"{name}={value}" for name, value in options.items()))
    result = signed(*arguments, code=code)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert _object(signed(*arguments, "--json", code=code))["message"] in result.stderr
    assert Path("p.zip.dsse.json").read_bytes() == before


def test_sign_refuses_a_pickle_that_runs_commands(signed: Run) -> None:
    Path("files/evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    signed("build", "evil.zip", "files")
    assert (
        "UnsafePickle: evil.pkl asks for os:system" in signed("sign", "evil.zip", *SIGNING, "--serial=8", code=1).stderr
    )
    assert not Path("evil.zip.dsse.json").exists()


# verify


def test_verify_shows_the_statement(signed: Run) -> None:
    shown = signed("verify", "p.zip", *POLICY, "--minimum-serial", "7", "--version", "==0.1.*").stdout
    for text in ("verified p.zip", "m 0.1.0", "serial             7", "expires            never"):
        assert text in shown
    assert sp.SigningKey.load("signing_key.json").key_id in shown


def test_verify_answers_with_an_object(signed: Run) -> None:
    answer = _object(signed("verify", "p.zip", *POLICY, "--json"))
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
    run("sign", "p.zip", *SIGNING, "--serial", "1")
    result = run("verify", "p.zip", *POLICY)
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
    seen = _object(signed("inspect", "p.zip", "--json"))
    digest = ":".join(*seen["statement"]["package_digest"].items())
    filled = [o.replace("KEY_ID", seen["claimed_key_ids"][0]).replace("DIGEST", digest) for o in options]
    result = signed("verify", "p.zip", *POLICY, *filled, code=1)
    assert result.stderr.startswith(f"{error}: ")
    assert result.stdout == ""
    assert _object(signed("verify", "p.zip", *POLICY, *filled, "--json", code=1))["error"] == error


def test_verify_refuses_another_key_and_other_bytes(signed: Run) -> None:
    other = str(sp.SigningKey.generate().verification_key)
    assert "UnknownKey" in signed("verify", "p.zip", "--name", "m", "--key", other, code=1).stderr
    with open("p.zip", "ab") as file:
        file.write(b"x")
    assert "DigestMismatch" in signed("verify", "p.zip", *POLICY, code=1).stderr
    Path("p.zip").unlink()
    assert "NotFound" in signed("verify", "p.zip", *POLICY, code=3).stderr


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
    arguments = {"verify": (uri, *POLICY), "inspect": (uri,), "pull": (uri, "out", *POLICY)}[command]
    result = signed(command, *arguments, code=code)
    assert result.stderr.count("\n") == 1
    assert set(_object(signed(command, *arguments, "--json", code=code))) == {"error", "message"}
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
    assert signed("verify", "p.zip", *POLICY, option, code=2).stderr.startswith("ConfigurationError: ")


# inspect


def test_inspect_says_loudly_that_nothing_is_verified(signed: Run) -> None:
    for uri in ("p.zip", "p.zip.dsse.json"):
        shown = signed("inspect", uri).stdout.splitlines()
        assert shown[0].startswith("NOT VERIFIED")
        assert "model.pkl needs  collections:OrderedDict" in shown
        assert any(line.startswith("claims signature") for line in shown)
        assert "verified p.zip" not in shown
    assert _object(signed("inspect", "p.zip", "--json"))["verified"] is False


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


# push and pull


def test_push_and_pull_through_s3(signed: Run, bucket: str) -> None:
    folder = f"s3://{bucket}/models"
    answer = _object(signed("push", "p.zip", folder, "--json"))
    assert answer == {"package": f"{folder}/p.zip", "envelope": f"{folder}/p.zip.dsse.json"}
    assert "NOT VERIFIED" in signed("inspect", f"{folder}/p.zip").stdout
    signed("verify", f"{folder}/p.zip", *POLICY)
    pulled = _object(signed("pull", f"{folder}/p.zip", "a/b", *POLICY, "--json"))
    assert pulled["package"] == "a/b/p.zip"
    for name in ("p.zip", "p.zip.dsse.json"):
        assert Path("a/b", name).read_bytes() == Path(name).read_bytes()


def test_push_overwrites_only_on_purpose(signed: Run, bucket: str) -> None:
    for folder in (f"s3://{bucket}", "folder"):
        signed("push", "p.zip", folder)
        assert "exists already" in signed("push", "p.zip", folder, code=2).stderr
        signed("push", "p.zip", folder, "--overwrite")


def test_storage_that_refuses(signed: Run, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "NotFound" in signed("push", "p.zip", "s3://no-such-bucket-here", code=3).stderr
    assert "NotFound" in signed("verify", f"s3://{bucket}/p.zip", *POLICY, code=3).stderr
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    for arguments in (("push", "p.zip", f"s3://{bucket}"), ("pull", f"s3://{bucket}/p.zip", "out", *POLICY)):
        result = signed(*arguments, code=3)
        assert result.stderr.startswith("AccessDenied: ")
        assert "wrong-secret" not in result.output
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "incomplete" in signed("push", "p.zip", f"s3://{bucket}", code=2).stderr


def test_pull_writes_nothing_that_is_refused(signed: Run, bucket: str) -> None:
    signed("push", "p.zip", f"s3://{bucket}")
    signed("pull", f"s3://{bucket}/p.zip", "out", *POLICY, "--minimum-serial=8", code=1)
    assert not Path("out").exists()


def test_pull_keeps_the_name_of_a_file_address(signed: Run) -> None:
    Path("p.zip").rename("my p.zip")
    Path("p.zip.dsse.json").rename("my p.zip.dsse.json")
    uri = (Path.cwd() / "my p.zip").as_uri()
    assert "%20" in uri
    signed("pull", uri, "out", *POLICY)
    assert sorted(os.listdir("out")) == ["my p.zip", "my p.zip.dsse.json"]


@pytest.mark.parametrize("folder", ["taken", "taken/below", "/proc/nowhere", LONG])
def test_pull_where_nothing_can_be_written(signed: Run, folder: str) -> None:
    Path("taken").touch()
    result = signed("pull", "p.zip", folder, *POLICY, code=2)
    assert "taken" in result.stderr or "cannot be made" in result.stderr


def test_pull_onto_a_folder_of_the_package_s_name(signed: Run) -> None:
    Path("out/p.zip").mkdir(parents=True)
    assert "cannot be written" in signed("pull", "p.zip", "out", *POLICY, code=2).stderr


@pytest.mark.parametrize(
    ("package", "folder", "code"),
    [
        ("missing.zip", "out", 3),
        ("files", "out", 3),
        (".", "out", 3),
        ("..", "out", 3),
        (LONG, "out", 3),
        ("unsigned.zip", "out", 3),
        ("p.zip", "taken", 3),
        ("p.zip", "s3://", 2),
        ("p.zip", "gopher://host", 2),
        ("p.zip", "s3://B/x", 2),
    ],
)
def test_push_refuses(signed: Run, package: str, folder: str, code: int) -> None:
    signed("build", "unsigned.zip", "files")
    Path("taken").touch()
    result = signed("push", package, folder, code=code)
    assert result.stderr.count("\n") == 1
    assert not Path("out").exists()


# usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["keygen", "--algorithm", "rsa"],
        ["sign", "p.zip", *SIGNING, "--serial", "-1"],
        ["sign", "p.zip", *SIGNING, "--serial", "seven"],
        ["sign", "p.zip", *SIGNING, "--serial", "8", "--digest", "md5"],
        ["sign", "p.zip"],
        ["verify", "p.zip", "--name", "m"],
        ["verify", "p.zip", *POLICY, "--unknown"],
        ["build", "p.zip"],
        ["unknown"],
    ],
)
def test_a_usage_error_is_told_in_the_form_that_was_asked_for(signed: Run, arguments: list[str]) -> None:
    result = signed(*arguments, code=2)
    assert result.stdout == ""
    assert "Error: " in result.stderr
    answer = _object(signed(*arguments, "--json", code=2))
    assert answer["error"] == "UsageError"
    assert answer["message"] in " ".join(result.stderr.split()).replace("Error: ", "")
