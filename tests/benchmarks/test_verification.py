import argparse
import sys
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


@pytest.mark.parametrize(("text", "sizes"), [("1GiB", [2**30]), ("16MiB,1MiB, 7,7", [7, 2**20, 2**24])])
def test_several_sizes(text: str, sizes: list[int]) -> None:
    assert verification.parse_sizes(text) == sizes


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of matplotlib's parser of fonts
def test_small_packages_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verification, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["verification", "--sizes", "64KiB,1MiB", "--rounds", "1"])
    assert verification.main() in (0, 1)  # the targets are set for a large package
    printed = capsys.readouterr().out
    assert "blake3 alone" in printed
    assert "verify from S3" in printed
    assert "model_signing" in printed
    assert [path.name for path in (tmp_path / "build" / "benchmarks").iterdir()] == ["verification.png"]
