"""`sign`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LONG = "x" * 5000


def test_sign_says_what_was_asked_for(signed: Run) -> None:
    options = ("--serial", "8", "--expires-in", "12h", "--digest", "sha256", "--json")
    answer = signed.told(signed("sign", "p.zip", *signed.SIGNING, *options))
    assert answer == {"package": "p.zip", "envelope": "p.zip.dsse.json"}
    statement = signed.told(signed("inspect", "p.zip", "--json"))["statement"]
    created, expires = (datetime.fromisoformat(statement[name]) for name in ("created", "expires"))
    assert (expires - created, statement["serial"]) == (timedelta(hours=12), 8)
    assert list(statement["package_digest"]) == ["sha256"]
    assert statement["pickles"] == {"model.pkl": ["collections:OrderedDict"]}


def test_sign_takes_the_key_from_a_variable(signed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.zip.dsse.json").unlink()
    monkeypatch.setenv("SIGNING_KEY", Path("signing_key.json").read_text())
    signed("sign", "p.zip", "--key", "env:SIGNING_KEY", *signed.SIGNING[2:], "--serial", "7")
    signed("verify", "p.zip", *signed.POLICY)


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
    signing = dict(zip(signed.SIGNING[::2], signed.SIGNING[1::2], strict=True))
    options = {"package": "p.zip", **signing, "--serial": "8", **changes}
    package = options.pop("package")
    arguments = ("sign", package, *(f"{name}={value}" for name, value in options.items()))
    result = signed(*arguments, code=code)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert signed.told(signed(*arguments, "--json", code=code))["message"] in result.stderr
    assert Path("p.zip.dsse.json").read_bytes() == before


def test_sign_refuses_a_pickle_that_runs_commands(signed: Run) -> None:
    Path("files/evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    signed("build", "evil.zip", "files")
    assert (
        "UnsafePickle: evil.pkl asks for os:system"
        in signed("sign", "evil.zip", *signed.SIGNING, "--serial=8", code=1).stderr
    )
    assert not Path("evil.zip.dsse.json").exists()
