import hashlib
import os
from pathlib import Path

import pytest
from blake3 import blake3

from signed_parameters.digests import _BUFFER_BYTES, Digest, DigestAlgorithm, digest_bytes, digest_file

REFERENCE = {DigestAlgorithm.BLAKE3: blake3, DigestAlgorithm.SHA256: hashlib.sha256}
SIZES = (0, 1, 1000, _BUFFER_BYTES - 1, _BUFFER_BYTES, _BUFFER_BYTES + 1, 3 * _BUFFER_BYTES + 17)


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(4 * _BUFFER_BYTES)


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


@pytest.mark.parametrize("there", [0, 5, _BUFFER_BYTES, _BUFFER_BYTES + 5])
def test_a_file_that_is_shorter_than_expected_is_read_to_its_end(tmp_path: Path, content: bytes, there: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content[:there])
    with path.open("rb") as file:
        found = digest_file(file.fileno(), DigestAlgorithm.BLAKE3, 0, 3 * _BUFFER_BYTES)
    assert found.value == blake3(content[:there]).hexdigest()


def test_equal_digits_of_different_algorithms_are_not_equal() -> None:
    assert not Digest(DigestAlgorithm.BLAKE3, "0" * 64).equals(Digest(DigestAlgorithm.SHA256, "0" * 64))


@pytest.mark.parametrize(
    "text", ["", "blake3", "blake3:", "md5:" + "0" * 32, "blake3:" + "0" * 63, "blake3:" + "A" * 64]
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Digest.parse(text)
