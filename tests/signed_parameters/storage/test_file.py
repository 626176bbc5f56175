import os
import socket
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import signed_parameters as sp
from signed_parameters.storage import FileStorage

MEBIBYTE = 1 << 20


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path)


def test_a_file_is_read(storage: FileStorage, tmp_path: Path) -> None:
    data = os.urandom(3 * MEBIBYTE + 1)
    (tmp_path / "a").write_bytes(data)
    assert storage.read("a", len(data)) == data
    with storage.stream("a") as download:
        assert download.size == len(data)
        assert [len(chunk) for chunk in download.chunks] == [MEBIBYTE] * 3 + [1]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (_fifo, sp.StorageError, "expected a regular file"),
        (Path.mkdir, sp.StorageError, "expected a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), sp.StorageError, "expected a regular file"),
        (_socket, sp.Unavailable, "cannot be read"),
        (_loop, sp.Unavailable, "cannot be read"),
        (lambda path: path.symlink_to("missing"), sp.NotFound, "does not exist"),
        (lambda path: None, sp.NotFound, "does not exist"),
    ],
    ids=["pipe", "folder", "endless device", "socket", "symlink loop", "dangling symlink", "missing"],
)
@pytest.mark.parametrize("maximum", [0, 100])
def test_what_is_no_file_is_refused_at_once(
    storage: FileStorage,
    tmp_path: Path,
    make: Callable[[Path], None],
    error: type[sp.StorageError],
    message: str,
    maximum: int,
) -> None:
    make(tmp_path / "package.zip")
    with pytest.raises(error, match=message) as caught:
        storage.read("package.zip", maximum)
    assert str(tmp_path / "package.zip") in str(caught.value)


def test_a_path_through_a_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(sp.NotFound):
        FileStorage(tmp_path / "file").read("a", 1)


def test_a_name_that_is_too_long_is_no_foreign_error(storage: FileStorage) -> None:
    with pytest.raises(sp.StorageError, match="name too long"):
        storage.read("a" * 300, 1)


@pytest.mark.usefixtures("permissions_count")
def test_a_file_of_somebody_else_is_refused(storage: FileStorage, tmp_path: Path) -> None:
    (tmp_path / "a").touch(mode=0)
    with pytest.raises(sp.AccessDenied):
        storage.read("a", 1)


def test_a_file_above_its_limit_is_not_read(storage: FileStorage, tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(100 * MEBIBYTE)
    tracemalloc.start()
    try:
        with pytest.raises(sp.TooLarge, match="expected at most 1048576 bytes, found 104857600 bytes"):
            storage.read("a", MEBIBYTE)
        assert tracemalloc.get_traced_memory()[1] < MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_file_of_just_its_limit_is_read(storage: FileStorage, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert storage.read("a", 5) == b"12345"
    with pytest.raises(sp.TooLarge):
        storage.read("a", 4)


def test_a_file_is_stored_whole_and_readable(storage: FileStorage, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"data")
    storage.write("new/folder/a", tmp_path / "source")
    assert (tmp_path / "new/folder/a").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "new/folder/a").stat().st_mode) == 0o644
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["a"]


def test_a_file_is_overwritten_only_on_purpose(storage: FileStorage, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(sp.ConfigurationError, match="exists already"):
        storage.write("a", tmp_path / "source")
    assert (tmp_path / "a").read_bytes() == b"old"
    storage.write("a", tmp_path / "source", overwrite=True)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_source_that_is_missing_is_named(storage: FileStorage, tmp_path: Path) -> None:
    with pytest.raises(sp.ConfigurationError, match="missing cannot be stored"):
        storage.write("a", tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(sp.StorageError):
        FileStorage(tmp_path / "file").write("a", tmp_path / "file")
