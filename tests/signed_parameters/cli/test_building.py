"""`build`: what goes into a package."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LONG = "x" * 5000


def test_build_takes_a_folder_with_all_that_is_below(signed: Run) -> None:
    answer = signed.told(signed("build", "again.zip", "files", "--json"))
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
