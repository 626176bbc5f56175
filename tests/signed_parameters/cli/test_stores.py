"""`push` and `pull`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LONG = "x" * 5000


def test_push_and_pull_through_s3(signed: Run, bucket: str) -> None:
    folder = f"s3://{bucket}/models"
    answer = signed.told(signed("push", "p.zip", folder, "--json"))
    assert answer == {"package": f"{folder}/p.zip", "envelope": f"{folder}/p.zip.dsse.json"}
    assert "NOT VERIFIED" in signed("inspect", f"{folder}/p.zip").stdout
    signed("verify", f"{folder}/p.zip", *signed.POLICY)
    pulled = signed.told(signed("pull", f"{folder}/p.zip", "a/b", *signed.POLICY, "--json"))
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
    assert "NotFound" in signed("verify", f"s3://{bucket}/p.zip", *signed.POLICY, code=3).stderr
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    for arguments in (("push", "p.zip", f"s3://{bucket}"), ("pull", f"s3://{bucket}/p.zip", "out", *signed.POLICY)):
        result = signed(*arguments, code=3)
        assert result.stderr.startswith("AccessDenied: ")
        assert "wrong-secret" not in result.output
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "incomplete" in signed("push", "p.zip", f"s3://{bucket}", code=2).stderr


def test_pull_writes_nothing_that_is_refused(signed: Run, bucket: str) -> None:
    signed("push", "p.zip", f"s3://{bucket}")
    signed("pull", f"s3://{bucket}/p.zip", "out", *signed.POLICY, "--minimum-serial=8", code=1)
    assert not Path("out").exists()


def test_pull_keeps_the_name_of_a_file_address(signed: Run) -> None:
    Path("p.zip").rename("my p.zip")
    Path("p.zip.dsse.json").rename("my p.zip.dsse.json")
    uri = (Path.cwd() / "my p.zip").as_uri()
    assert "%20" in uri
    signed("pull", uri, "out", *signed.POLICY)
    assert sorted(os.listdir("out")) == ["my p.zip", "my p.zip.dsse.json"]


@pytest.mark.parametrize("folder", ["taken", "taken/below", "/proc/nowhere", LONG])
def test_pull_where_nothing_can_be_written(signed: Run, folder: str) -> None:
    Path("taken").touch()
    result = signed("pull", "p.zip", folder, *signed.POLICY, code=2)
    assert "taken" in result.stderr or "cannot be made" in result.stderr


def test_pull_onto_a_folder_of_the_package_s_name(signed: Run) -> None:
    Path("out/p.zip").mkdir(parents=True)
    assert "cannot be written" in signed("pull", "p.zip", "out", *signed.POLICY, code=2).stderr


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
