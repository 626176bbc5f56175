"""A file is mapped only while nobody can write to it. Each test is one who tries."""

import fcntl
import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from signed_parameters import reading
from signed_parameters.reading import _MAP_FROM_BYTES, _WINDOW_BYTES, read_parts

SIZE = 2 * _WINDOW_BYTES + 5
PART = f"""
import os, sys
from signed_parameters.reading import read_parts
descriptor = os.open(sys.argv[1], os.O_RDONLY)
parts = read_parts(descriptor, 0, {SIZE})
part = next(parts)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


@pytest.fixture
def leased(path: Path) -> Path:
    if not hasattr(fcntl, "F_SETLEASE") or os.major(path.stat().st_dev) == 0:
        pytest.skip("the file system of this folder gives no leases, so that files are read")
    return path


def mapped(path: Path) -> list[str]:
    """Return with which rights this process has the file in its memory."""
    return [line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]


def started(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def cut(path: Path) -> None:
    os.truncate(path, 0)


def test_what_a_mapping_alone_leads_to(path: Path) -> None:
    code = f"""
import mmap, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
mapped = mmap.mmap(descriptor, {SIZE}, access=mmap.ACCESS_READ)
os.truncate(sys.argv[1], 0)
mapped[0]
"""
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGBUS


def test_who_cuts_a_file_short_waits_until_the_part_is_done(leased: Path) -> None:
    with leased.open("rb") as file:
        parts = read_parts(file.fileno(), 0, SIZE)
        part = next(parts)
        assert mapped(leased)
        cutter = started(lambda: cut(leased))
        cutter.join(0.5)
        assert cutter.is_alive()
        assert bytes(part[-3:]) == bytes(3)
        assert leased.stat().st_size == SIZE
        rest = sum(len(part) for part in parts)
        cutter.join(10)
        assert not cutter.is_alive()
    assert not mapped(leased)
    assert rest <= SIZE - _WINDOW_BYTES  # as much as the reader gets before the writer, both of whom go on
    assert leased.stat().st_size == 0


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC])
def test_who_opens_it_for_writing_waits_too_and_others_are_not_held_up(leased: Path, flags: int) -> None:
    with leased.open("rb") as file:
        parts = read_parts(file.fileno(), 0, SIZE)
        next(parts)
        with pytest.raises(BlockingIOError):
            os.open(leased, flags | os.O_NONBLOCK)
        with leased.open("rb") as reader:
            assert reader.read(1) == b"\0"
        parts.close()
        os.close(os.open(leased, flags))


def test_a_file_that_is_open_for_writing_is_read(leased: Path) -> None:
    with leased.open("r+b"), leased.open("rb") as file:
        parts = read_parts(file.fileno(), 0, SIZE)
        next(parts)
        assert not mapped(leased)
        cut(leased)
        assert sum(len(part) for part in parts) < SIZE


def test_a_file_that_is_mapped_for_writing_is_read(leased: Path) -> None:
    with leased.open("r+b") as writer:
        writable = mmap.mmap(writer.fileno(), SIZE)
    with writable, leased.open("rb") as file:
        next(read_parts(file.fileno(), 0, SIZE))
        assert mapped(leased) == ["rw-s"]


@pytest.mark.parametrize("reason", ["too small for it", "no leases", "another file system", "pages that cannot be had"])
def test_what_cannot_be_mapped_is_read(path: Path, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    end = SIZE
    if reason == "too small for it":
        end = _MAP_FROM_BYTES - 1
    elif reason == "no leases":
        monkeypatch.delattr(fcntl, "F_SETLEASE", raising=False)
    elif reason == "another file system":
        monkeypatch.setattr(os, "major", lambda device: 0)
    else:
        monkeypatch.setattr(reading, "_MADV_POPULATE_READ", 12345)
    with path.open("rb") as file:
        size = 0
        for part in read_parts(file.fileno(), 0, end):
            assert not mapped(path)
            size += len(part)
    assert size == end


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_file_of_another_user_is_read(leased: Path) -> None:
    code = f"""
import os, sys
from signed_parameters.reading import read_parts
os.setuid(65534)
parts = read_parts(int(sys.argv[1]), 0, {SIZE})
print(sum(len(part) for part in parts if sys.argv[2] not in open("/proc/self/maps").read()))
"""
    with leased.open("rb") as file:
        number = file.fileno()
        command = [sys.executable, "-c", code, str(number), leased]
        done = subprocess.run(command, check=True, pass_fds=[number], stdout=subprocess.PIPE, text=True)
    assert int(done.stdout) == SIZE


def test_the_signal_that_says_somebody_waits_does_nothing(leased: Path) -> None:
    code = PART + "print('reading', flush=True); sys.stdin.read(); print(sum(map(len, parts)))"
    with subprocess.Popen(
        [sys.executable, "-c", code, leased], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        cutter = started(lambda: cut(leased))
        cutter.join(0.5)
        assert cutter.is_alive()
        assert reader.poll() is None
        reader.communicate(timeout=20)
        assert reader.returncode == 0
    cutter.join(10)
    assert not cutter.is_alive()


def test_who_is_killed_while_it_reads_holds_nobody_up(leased: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PART + "print('reading', flush=True); sys.stdin.read()", leased],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        reader.kill()
    cut(leased)


def test_nothing_is_held_afterwards(leased: Path) -> None:
    with leased.open("rb") as file:
        for _ in read_parts(file.fileno(), 0, SIZE):
            pass
        parts = read_parts(file.fileno(), 0, SIZE)
        next(parts)
        parts.close()
        assert fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_UNLCK
        assert not mapped(leased)
        os.close(os.open(leased, os.O_WRONLY | os.O_NONBLOCK))
