"""Storage that lies, breaks off, never ends, or is no file at all."""

import itertools
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Download, FileStorage

FILES = {"a": bytes(range(256)) * 4}
NAME = "package.zip"
MEBIBYTE = 1 << 20


def test_a_download_that_breaks_off(workshop: Any, refused: Any) -> None:
    workshop.put_signed(FILES)
    size = len(workshop.storage.objects[NAME])
    envelope = len(workshop.storage.objects[NAME + ENVELOPE_SUFFIX])
    assert envelope < size
    for after in (0, 100, envelope - 1, envelope, size - 1):
        workshop.storage.breaks_after = after
        with refused(sp.Unavailable, match="broke off"):
            workshop.verify()
    workshop.storage.breaks_after = size
    workshop.verify().close()


@pytest.mark.parametrize("tells_sizes", [True, False])
def test_a_download_that_ends_early_and_says_nothing(workshop: Any, refused: Any, tells_sizes: bool) -> None:
    workshop.put_signed(FILES)
    workshop.storage.tells_sizes = tells_sizes
    size = len(workshop.storage.objects[NAME])
    workshop.storage.objects[NAME] = workshop.storage.objects[NAME][:500]
    with refused(sp.DigestMismatch, match=f"expected {size} bytes, found 500 bytes"):
        workshop.verify()


class Endless(FileStorage):
    """Serves the envelopes of a folder, and packages without end; counts the chunks that were taken."""

    taken = 0
    said: int | None = None

    def open_in_place(self, name: str) -> Any:
        return None if name == NAME else super().open_in_place(name)

    @contextmanager
    def stream(self, name: str) -> Iterator[Download]:
        if name != NAME:
            with super().stream(name) as download:
                yield download
        else:
            yield Download(self.said, self._endless())

    def _endless(self) -> Iterator[bytes]:
        for self.taken in itertools.count(1):
            yield bytes(MEBIBYTE)


def test_a_download_that_never_ends(make_package: Any, policy: sp.TrustPolicy, refused: Any) -> None:
    path = make_package({"a": os.urandom(3 * MEBIBYTE)})
    storage = Endless(path.parent)
    tracemalloc.start()
    try:
        with refused(sp.DigestMismatch, match="bytes or more"):
            sp.verify_package(NAME, policy, storage=storage)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert storage.taken == 4


def test_a_download_that_says_a_wrong_size_is_not_begun(
    make_package: Any, policy: sp.TrustPolicy, refused: Any
) -> None:
    path = make_package(FILES)
    storage = Endless(path.parent)
    storage.said = 1 << 50
    with refused(sp.DigestMismatch, match=f"found {1 << 50} bytes"):
        sp.verify_package(NAME, policy, storage=storage)
    assert storage.taken == 0


def test_a_download_that_says_the_right_size_and_never_ends(
    make_package: Any, policy: sp.TrustPolicy, refused: Any
) -> None:
    path = make_package(FILES)
    storage = Endless(path.parent)
    storage.said = path.stat().st_size
    with refused(sp.DigestMismatch):
        sp.verify_package(NAME, policy, storage=storage)
    assert storage.taken == 1


@pytest.mark.parametrize("what", ["package", "envelope"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "/dev/zero", "/dev/null", "/dev/stdin"])
def test_what_is_no_regular_file(make_package: Any, policy: sp.TrustPolicy, refused: Any, what: str, kind: str) -> None:
    path = make_package(FILES)
    place = path if what == "package" else Path(f"{path}{ENVELOPE_SUFFIX}")
    place.unlink()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(kind)
    with refused(sp.StorageError, sp.DigestMismatch, sp.MalformedPackage):
        sp.verify_package(path, policy)


@pytest.mark.parametrize("path", ["/proc/self/maps", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_a_file_of_the_kernel_in_the_place_of_a_package(workshop: Any, refused: Any, tmp_path: Path, path: str) -> None:
    """Such files tell a size that is not theirs."""
    if not Path(path).exists():
        pytest.skip("this kernel has no such file")
    size = os.stat(path).st_size
    (tmp_path / NAME).symlink_to(path)
    statement = workshop.statement(b"", FILES, package_size=size)
    (tmp_path / f"{NAME}{ENVELOPE_SUFFIX}").write_bytes(workshop.envelope(statement))
    with refused(sp.Unavailable, sp.DigestMismatch, sp.MalformedPackage):
        sp.verify_package(tmp_path / NAME, workshop.policy)


def test_no_folder_for_temporary_files(
    workshop: Any, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.put_signed(FILES)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with refused(sp.StorageError, match="Set TMPDIR"):
        workshop.verify()


def test_no_room_for_temporary_files(workshop: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full stands for a disk without room."""
    workshop.put_signed(FILES)
    full = Path("/dev/full").open("w+b", buffering=0)  # noqa: SIM115 - verify_package closes it
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
    with refused(sp.StorageError, match="No space left on device. Make room there"):
        workshop.verify()
