"""What comes as a stream is judged as the same bytes in a file are, however the stream is cut."""

import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters.layout import Entry, StreamedArchive, check_layout, closing_bytes, read_at

Sizes = Sequence[tuple[str, int]]

_NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,8}(/[A-Za-z0-9_]{1,8})?", fullmatch=True)
_FILES = st.dictionaries(_NAME, st.binary(max_size=60), min_size=1, max_size=6)
_CUTS = st.lists(st.integers(0, 600), max_size=20)
_CHANGE = st.tuples(st.integers(0, 600), st.integers(0, 5), st.binary(max_size=5))


def _archive(files: dict[str, bytes]) -> bytes:
    entries: list[Entry] = []
    parts = b""
    for name, data in sorted(files.items()):
        entries.append(Entry(name, len(data), zlib.crc32(data), len(parts)))
        parts += entries[-1].local_header() + data
    return parts + closing_bytes(entries)


def _sizes(files: dict[str, bytes]) -> Sizes:
    return [(name, len(data)) for name, data in sorted(files.items())]


def _parts(data: bytes, cuts: Sequence[int]) -> Iterator[memoryview]:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, stop in pairwise(places):
        yield memoryview(data)[start:stop]


def _streamed(data: bytes, sizes: Sizes, cuts: Sequence[int]) -> tuple[list[bytes], bool]:
    """Return the files' bytes as a stream gives them, and whether the archive is the one of these files."""
    found = [bytearray() for _ in sizes]
    archive = StreamedArchive(sizes, lambda number, part: found[number].extend(part))
    for part in _parts(data, cuts):
        archive.update(part)
    try:
        archive.finish()
    except sp.MalformedPackage:
        return [bytes(one) for one in found], False
    return [bytes(one) for one in found], len(data) == archive.size


def _in_a_file(data: bytes, sizes: Sizes) -> list[bytes] | None:
    """Return the files' bytes as `check_layout` finds them; None where it refuses the archive."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            entries = check_layout(file.fileno(), sizes)
        except sp.MalformedPackage:
            return None
        return [read_at(file.fileno(), size, entries[name].data_offset) for name, size in sizes]


@settings(max_examples=200)
@given(files=_FILES, cuts=_CUTS)
def test_any_cut_of_a_good_archive_gives_its_files(files: dict[str, bytes], cuts: list[int]) -> None:
    data, sizes = _archive(files), _sizes(files)
    assert StreamedArchive(sizes, lambda *_: None).size == len(data)
    contents = [content for _, content in sorted(files.items())]
    assert _streamed(data, sizes, cuts) == (contents, True)
    assert _in_a_file(data, sizes) == contents


@settings(max_examples=200)
@given(files=_FILES, cuts=_CUTS, changes=st.lists(_CHANGE, min_size=1, max_size=3))
def test_any_change_is_judged_as_in_a_file(
    files: dict[str, bytes], cuts: list[int], changes: list[tuple[int, int, bytes]]
) -> None:
    data, sizes = _archive(files), _sizes(files)
    for at, removed, added in changes:
        at %= len(data) + 1
        data = data[:at] + added + data[at + removed :]
    contents, good = _streamed(data, sizes, cuts)
    in_a_file = _in_a_file(data, sizes)
    assert good is (in_a_file is not None)
    assert not good or contents == in_a_file


@settings(max_examples=200)
@given(files=_FILES, others=_FILES, cuts=_CUTS)
def test_an_archive_of_other_files_is_judged_as_in_a_file(
    files: dict[str, bytes], others: dict[str, bytes], cuts: list[int]
) -> None:
    data, sizes = _archive(others), _sizes(files)
    assert _streamed(data, sizes, cuts)[1] is (_in_a_file(data, sizes) is not None)


@settings(max_examples=200)
@given(files=_FILES, data=st.binary(max_size=400), cuts=_CUTS)
def test_any_bytes_give_no_more_than_the_files_signed_sizes(
    files: dict[str, bytes], data: bytes, cuts: list[int]
) -> None:
    contents, good = _streamed(data, _sizes(files), cuts)
    assert not good
    assert all(len(content) <= size for content, (_, size) in zip(contents, _sizes(files), strict=True))


@pytest.mark.parametrize("size", [0xFFFFFFFE, 0xFFFFFFFF, 5 << 30])
def test_files_around_and_beyond_four_gibibytes(size: int) -> None:
    """The large file is not made: its bytes are handed on without being looked at."""
    sizes = [("a", size), ("b", 3)]
    first = Entry("a", size, 1, 0)
    entries = [first, Entry("b", 3, 2, first.end)]
    taken = [0, 0]

    def take(number: int, part: memoryview) -> None:
        taken[number] += len(part)

    archive = StreamedArchive(sizes, take)
    block = memoryview(bytes(64 << 20))
    archive.update(memoryview(first.local_header()))
    for start in range(0, size, len(block)):
        archive.update(block[: size - start])
    archive.update(memoryview(entries[1].local_header() + os.urandom(3) + closing_bytes(entries)))
    archive.finish()
    assert taken == [size, 3]
    assert archive.size == entries[1].end + len(closing_bytes(entries))
