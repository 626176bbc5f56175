import fcntl
import hashlib
import itertools
import os
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from signed_parameters.digests import (
    Digest,
    DigestAlgorithm,
    digest_bytes,
    digest_file,
    digest_file_and_ranges,
)
from signed_parameters.reading import _BUFFER_BYTES, _READ_AHEAD_FROM_BYTES, _WINDOW_BYTES

REFERENCE = {DigestAlgorithm.BLAKE3: blake3, DigestAlgorithm.SHA256: hashlib.sha256}
# From this size on, a thread reads ahead.
LARGE = _READ_AHEAD_FROM_BYTES + 1
SIZES = (0, 1, 1000, _BUFFER_BYTES - 1, _BUFFER_BYTES, _BUFFER_BYTES + 1, LARGE - 1, LARGE, LARGE + 5 * _BUFFER_BYTES)


@pytest.fixture(params=["mapped", "read"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digest files in both ways; a file system without leases gives the second one twice."""
    if request.param == "read":
        monkeypatch.delattr(fcntl, "F_SETLEASE", raising=False)


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(LARGE + 6 * _BUFFER_BYTES)


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offset", [0, 1, 4097])
def test_a_part_of_a_file(tmp_path: Path, content: bytes, algorithm: DigestAlgorithm, size: int, offset: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        found = digest_file(file.fileno(), algorithm, offset, size)
    expected = REFERENCE[algorithm](content[offset : offset + size]).hexdigest()
    assert str(found) == f"{algorithm}:{expected}"
    assert found.equals(digest_bytes(content[offset : offset + size], algorithm))


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_file(tmp_path: Path, content: bytes, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    with path.open("rb") as file:
        assert digest_file(file.fileno(), DigestAlgorithm.BLAKE3).value == blake3(content[:size]).hexdigest()


def test_a_file_of_several_windows(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 2 * _WINDOW_BYTES + 12345
    with path.open("wb") as file:
        for number in range(0, size, 1 << 20):
            file.write((number.to_bytes(8, "big") * (1 << 17))[: size - number])
    with path.open("rb") as file:
        for offset in (0, 5, _WINDOW_BYTES - 1, _WINDOW_BYTES):
            file.seek(offset)
            expected = blake3(file.read()).hexdigest()
            assert digest_file(file.fileno(), DigestAlgorithm.BLAKE3, offset).value == expected


@pytest.mark.parametrize("there", [0, 5, _BUFFER_BYTES, _BUFFER_BYTES + 5, LARGE])
@pytest.mark.parametrize("expected", [3 * _BUFFER_BYTES, LARGE + _BUFFER_BYTES, 1 << 50])
def test_a_file_that_is_shorter_than_expected_is_read_to_its_end(
    tmp_path: Path, content: bytes, there: int, expected: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content[:there])
    with path.open("rb") as file:
        found = digest_file(file.fileno(), DigestAlgorithm.BLAKE3, 0, expected)
    assert found.value == blake3(content[: min(there, expected)]).hexdigest()


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@pytest.mark.parametrize("size", [1000, _BUFFER_BYTES, LARGE + _BUFFER_BYTES])
def test_a_file_and_ranges_of_it_at_once(tmp_path: Path, content: bytes, algorithm: DigestAlgorithm, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    cuts = sorted({0, 1, 30, size // 3, size // 2, size - 1, size, min(size, _BUFFER_BYTES)})
    touching = [(start, end - start) for start, end in itertools.pairwise(cuts)]
    with_gaps = touching[::2]
    empty = [(0, 0), (0, 0), (0, size), (size, 0), (size, 0)]
    for ranges in ([], touching, with_gaps, empty, [(size // 2, 0)]):
        with path.open("rb") as file:
            whole, parts = digest_file_and_ranges(file.fileno(), algorithm, ranges)
        assert whole.equals(digest_bytes(content[:size], algorithm))
        assert list(parts) == [digest_bytes(content[start : start + length], algorithm) for start, length in ranges]


@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_ranges_that_a_file_is_too_short_for(tmp_path: Path, content: bytes, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    with path.open("rb") as file, pytest.raises(OSError, match=f"ends at byte {size}"):
        digest_file_and_ranges(file.fileno(), DigestAlgorithm.BLAKE3, [(0, size // 2), (size // 2, size)][size == 0 :])


@pytest.mark.parametrize("size", [1000, LARGE])
def test_an_error_while_reading_leaves_no_thread_and_no_descriptor(tmp_path: Path, content: bytes, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    threads, descriptors = threading.active_count(), os.listdir("/proc/self/fd")
    write_only = os.open(path, os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            digest_file(write_only, DigestAlgorithm.BLAKE3)
        with pytest.raises(OSError, match="Bad file descriptor"):
            digest_file_and_ranges(write_only, DigestAlgorithm.BLAKE3, [(0, size)])
    finally:
        os.close(write_only)
    assert threading.active_count() == threads
    assert os.listdir("/proc/self/fd") == descriptors


def test_equal_digits_of_different_algorithms_are_not_equal() -> None:
    assert not Digest(DigestAlgorithm.BLAKE3, "0" * 64).equals(Digest(DigestAlgorithm.SHA256, "0" * 64))


@pytest.mark.parametrize(
    "text", ["", "blake3", "blake3:", "md5:" + "0" * 32, "blake3:" + "0" * 63, "blake3:" + "A" * 64]
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Digest.parse(text)
