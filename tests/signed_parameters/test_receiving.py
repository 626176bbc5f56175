import itertools
import os
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from blake3 import blake3

from signed_parameters.digests import DigestAlgorithm, new_hasher
from signed_parameters.reading import _BUFFER_BYTES, BUFFERS
from signed_parameters.receiving import receive

SIZES = (0, 1, 1000, _BUFFER_BYTES - 1, _BUFFER_BYTES, _BUFFER_BYTES + 1, (2 * BUFFERS + 1) * _BUFFER_BYTES + 17)
LARGE = SIZES[-1]


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(LARGE)


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunk", [1000, 65_537, _BUFFER_BYTES, 3 * _BUFFER_BYTES + 1, 1 << 30])
@pytest.mark.parametrize("room", [0, 1, 10 * _BUFFER_BYTES])
def test_every_byte_is_hashed_and_stored_in_order(content: bytes, size: int, chunk: int, room: int) -> None:
    stored, hasher = bytearray(), new_hasher(DigestAlgorithm.BLAKE3)
    assert receive(_cut(content[:size], chunk), size + room, hasher, stored.extend) == size
    assert bytes(stored) == content[:size]
    assert hasher.hexdigest() == blake3(content[:size]).hexdigest()


@pytest.mark.parametrize("maximum", [0, 1, 999, 1000, LARGE - 1])
def test_what_goes_beyond_is_not_kept_and_no_more_is_taken(content: bytes, maximum: int) -> None:
    stored, taken = bytearray(), itertools.count(1)
    last = 0

    def endless() -> Iterator[bytes]:
        nonlocal last
        while True:
            last = next(taken)
            yield content[:1000]

    received = receive(endless(), maximum, new_hasher(DigestAlgorithm.BLAKE3), stored.extend)
    assert received == last * 1000 == (maximum // 1000 + 1) * 1000
    assert len(stored) <= maximum


@pytest.mark.parametrize("size", [10, LARGE])
def test_what_cannot_be_stored_is_an_error_here(content: bytes, size: int) -> None:
    def full(part: memoryview) -> None:
        raise OSError("no space left")

    threads = threading.active_count()
    with pytest.raises(OSError, match="no space left"):
        receive(_cut(content[:size], 1000), size, new_hasher(DigestAlgorithm.BLAKE3), full)
    assert threading.active_count() == threads


def test_a_download_that_breaks_off_leaves_no_thread(content: bytes) -> None:
    def breaks_off() -> Iterator[bytes]:
        yield content[:-1]
        raise ConnectionError("broke off")

    threads = threading.active_count()
    with pytest.raises(ConnectionError, match="broke off"):
        receive(breaks_off(), LARGE, new_hasher(DigestAlgorithm.BLAKE3), bytearray().extend)
    assert threading.active_count() == threads


def test_a_download_in_tiny_pieces_takes_no_more_memory_than_another() -> None:
    """A list of such pieces would take many times the memory of their bytes."""
    pieces = (number.to_bytes(8, "big") for number in range(_BUFFER_BYTES // 8 + 1000))
    tracemalloc.start()
    try:
        receive(pieces, 2 * _BUFFER_BYTES, new_hasher(DigestAlgorithm.BLAKE3), len)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
