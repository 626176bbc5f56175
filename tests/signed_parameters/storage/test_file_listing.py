import os
import socket
from pathlib import Path

import pytest

import signed_parameters as sp
from signed_parameters.storage import FileStorage


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path)


def _make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def test_every_file_below_is_named_in_order(storage: FileStorage, tmp_path: Path) -> None:
    names = ["Z", "a", "d/b/c", "d/b.c", "d-e", "d.zip", "\u00fc", "with space/+&?", "x/y"]
    _make(tmp_path, *names)
    assert list(storage.names()) == sorted(names)
    assert list(storage.names(".zip")) == ["d.zip"]
    assert list(storage.names("nothing")) == []


def test_names_come_while_the_rest_is_still_unread(storage: FileStorage, tmp_path: Path) -> None:
    _make(tmp_path, "a/1", "b/1")
    names = storage.names()
    assert next(names) == "a/1"
    _make(tmp_path, "b/2")
    assert list(names) == ["b/1", "b/2"]


def test_links_and_what_is_no_file_are_left_out(storage: FileStorage, tmp_path: Path) -> None:
    _make(tmp_path, "folder/file")
    (tmp_path / "outside").symlink_to("/etc")
    (tmp_path / "link").symlink_to("folder/file")
    (tmp_path / "broken").symlink_to("missing")
    (tmp_path / "folder/loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    assert list(storage.names()) == ["folder/file"]


def test_half_written_and_hidden_files_are_left_out(storage: FileStorage, tmp_path: Path) -> None:
    _make(tmp_path, ".p.zip.dsse.json.x7d2", ".git/objects/aa", "folder/.hidden", "p.zip")
    assert list(storage.names()) == ["p.zip"]


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    _make(tmp_path, "file")
    for folder in ("missing", "file", "file/below"):
        assert list(FileStorage(tmp_path / folder).names()) == []


def test_a_folder_that_vanishes_while_it_is_listed_holds_nothing(storage: FileStorage, tmp_path: Path) -> None:
    _make(tmp_path, "a/1", "b/1")
    names = storage.names()
    assert next(names) == "a/1"
    (tmp_path / "b/1").unlink()
    (tmp_path / "b").rmdir()
    assert list(names) == []


@pytest.mark.usefixtures("permissions_count")
def test_a_folder_that_cannot_be_read_is_not_left_out_in_silence(storage: FileStorage, tmp_path: Path) -> None:
    _make(tmp_path, "a/1")
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(sp.AccessDenied, match="is not accessible"):
            list(storage.names())
    finally:
        (tmp_path / "a").chmod(0o700)


def test_a_small_object_is_stored_whole_and_overwritten_only_on_purpose(storage: FileStorage, tmp_path: Path) -> None:
    storage.write_bytes("new/folder/a", b"old")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write_bytes("new/folder/a", b"new")
    assert storage.read("new/folder/a", 3) == b"old"
    storage.write_bytes("new/folder/a", b"new", overwrite=True)
    assert storage.read("new/folder/a", 3) == b"new"
    assert os.listdir(tmp_path / "new/folder") == ["a"]


def test_a_small_object_does_not_follow_a_link(storage: FileStorage, tmp_path: Path) -> None:
    _make(tmp_path, "victim")
    (tmp_path / "a").symlink_to("victim")
    storage.write_bytes("a", b"data", overwrite=True)
    assert (tmp_path / "victim").read_bytes() == b""


@pytest.mark.parametrize("name", ["x" * 300, "file/below", "null\0byte"])
def test_a_small_object_that_cannot_be_stored(storage: FileStorage, tmp_path: Path, name: str) -> None:
    _make(tmp_path, "file")
    with pytest.raises(sp.SignedParametersError):
        storage.write_bytes(name, b"data")
    assert os.listdir(tmp_path) == ["file"]
