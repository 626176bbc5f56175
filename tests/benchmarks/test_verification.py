import argparse
import sys
import time
from pathlib import Path

import pytest

from benchmarks import verification

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize(("text", "size"), [("1GiB", 2**30), ("256MiB", 2**28), ("7", 7)])
def test_sizes(text: str, size: int) -> None:
    assert verification.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1GB", "1.5GiB", "GiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a size"):
        verification.parse_size(text)


def test_the_file_has_the_size_and_no_block_twice(tmp_path: Path) -> None:
    verification.write_random(tmp_path / "file", 3 * 2**20 + 5)
    content = (tmp_path / "file").read_bytes()
    assert len(content) == 3 * 2**20 + 5
    assert len({content[offset : offset + 2**20] for offset in range(0, len(content), 2**20)}) == 4


def test_memory_that_is_freed_before_the_end_is_noticed() -> None:
    with verification.watched_memory() as growth:
        ballast = bytearray(200_000_000)
        ballast[:] = b"x" * len(ballast)
        deadline = time.monotonic() + 30
        while growth.megabytes <= 150 and time.monotonic() < deadline:
            time.sleep(0.01)
        del ballast
    assert growth.megabytes > 150


def test_a_small_package_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verification, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["verification", "--size", "4MiB", "--rounds", "1"])
    assert verification.main() in (0, 1)  # the targets are set for a large package
    printed = capsys.readouterr().out
    assert "blake3 alone" in printed
    assert "verify" in printed
    assert list((tmp_path / "build" / "benchmarks").iterdir()) == []
