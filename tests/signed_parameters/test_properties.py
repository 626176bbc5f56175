"""What holds for any input. Each property of a harness of `tests/fuzz` is tried here too, without atheris."""

import importlib
import json
import pickle
import pickletools
import random
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import signed_parameters as sp
from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.envelope import Envelope, Signature
from signed_parameters.formats import pickles
from signed_parameters.statement import ENVELOPE_SUFFIX, MAXIMUM_SERIAL, SignedFile, Statement
from tests.fuzz import fuzz_pickle, pickle_programs
from tests.fuzz.harness import Harness

NAME = "package.zip"
HARNESSES = sorted(path.stem for path in (Path(__file__).parents[1] / "fuzz").glob("fuzz_*.py"))


@cache
def _harness(name: str) -> Harness:
    harness: Harness = importlib.import_module(f"tests.fuzz.{name}").HARNESS
    return harness


@cache
def _seeds(name: str) -> tuple[bytes, ...]:
    return tuple(_harness(name).seeds())


def _spliced(data: bytes, at: int, removed: int, added: bytes) -> bytes:
    at %= len(data) + 1
    return data[:at] + added + data[at + removed :]


_splices = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=3
)


@pytest.mark.parametrize("name", HARNESSES)
def test_every_seed_passes(name: str) -> None:
    for seed in _seeds(name):
        _harness(name).check(seed)


@pytest.mark.parametrize("name", HARNESSES)
@settings(max_examples=100)
@given(data=st.binary(max_size=300))
def test_any_bytes_pass(name: str, data: bytes) -> None:
    _harness(name).check(data)


@pytest.mark.parametrize("name", HARNESSES)
@settings(max_examples=150)
@given(at=st.integers(0, 1 << 16), splices=_splices)
def test_any_seed_with_some_bytes_changed_passes(name: str, at: int, splices: list[tuple[int, int, bytes]]) -> None:
    data = _seeds(name)[at % len(_seeds(name))]
    for splice in splices:
        data = _spliced(data, *splice)
    _harness(name).check(data)


@pytest.mark.parametrize("name", [name for name in HARNESSES if _harness(name).mutate])
@settings(max_examples=150)
@given(at=st.integers(0, 1 << 16), number=st.integers(0, 1 << 32))
def test_any_seed_with_its_structure_changed_passes(name: str, at: int, number: int) -> None:
    mutate, source = _harness(name).mutate, random.Random(number)
    assert mutate is not None
    data = _seeds(name)[at % len(_seeds(name))]
    for _ in range(3):
        data = mutate(data, _harness(name).maximum, source)
        assert len(data) <= _harness(name).maximum
        _harness(name).check(data)


_LARGE = [
    b"[",
    b'{"a":',
    b"(",
    b"\x94",
    b"N\x94",
    b"\x85",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"- ",
    b"? ",
    b"a: ",
    b'"',
    b"9",
]


@pytest.mark.parametrize("part", _LARGE, ids=repr)
@pytest.mark.parametrize("name", HARNESSES)
def test_a_large_input_of_one_kind_passes(name: str, part: bytes) -> None:
    _harness(name).check(part * ((1 << 18) // len(part)))


def test_a_keyring_file_of_very_many_members_is_refused(tmp_path: Path) -> None:
    """All of a mebibyte, and the last of them twice: whoever compares each with each takes minutes."""
    names = [f"{number:x}" for number in range(90_000)]
    path = tmp_path / "keyring.json"
    path.write_text("{" + ",".join(f'"{name}":1' for name in [*names, names[-1]]) + "}")
    with pytest.raises(sp.ConfigurationError, match=f"{names[-1]} is there twice"):
        sp.Keyring.load(path)


_signatures = st.builds(Signature, key_id=st.from_regex(r"[!-~]{0,40}", fullmatch=True), value=st.binary(max_size=80))
_envelopes = st.builds(
    Envelope, payload=st.binary(max_size=200), signatures=st.lists(_signatures, max_size=4).map(tuple)
)


@settings(max_examples=200)
@given(envelope=_envelopes)
def test_any_envelope_is_read_back_as_it_was(envelope: Envelope) -> None:
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope


@settings(max_examples=100)
@given(envelope=_envelopes, indent=st.sampled_from([None, 0, 1]), ends=st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]))
def test_an_envelope_has_one_byte_form(envelope: Envelope, indent: int | None, ends: bytes) -> None:
    data = json.dumps(json.loads(envelope.to_bytes()), indent=indent).encode() + ends
    with pytest.raises(sp.MalformedPackage):
        Envelope.from_bytes(data)


_labels = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True)
_digests = st.builds(Digest, st.sampled_from(DigestAlgorithm), st.text("0123456789abcdef", min_size=64, max_size=64))
_numbers = st.integers(0, MAXIMUM_SERIAL)
_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,9}(/[A-Za-z0-9_]{1,5})?", fullmatch=True)
_globals = st.from_regex(r"[a-z_]{1,5}(\.[a-z0-9]{1,5})?:[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
_times = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)).map(
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)


@st.composite
def _statements(draw: st.DrawFn) -> Statement:
    names = sorted(draw(st.lists(_names, min_size=1, max_size=4, unique_by=str.lower)))
    created = draw(_times)
    seconds = draw(st.none() | st.integers(1, 10**9))
    return Statement(
        name=draw(_labels),
        version=draw(_labels),
        parameters_version=draw(_labels),
        serial=draw(_numbers),
        created=created,
        expires=None if seconds is None else created + timedelta(seconds=seconds),
        package_size=draw(_numbers),
        package_digest=draw(_digests),
        files=tuple(SignedFile(name=name, size=draw(_numbers), digest=draw(_digests)) for name in names),
        runtime=draw(st.dictionaries(_labels, _labels, max_size=3)),
        pickles=draw(st.dictionaries(st.sampled_from(names), st.lists(_globals, max_size=3).map(tuple), max_size=2)),
    )


@settings(max_examples=100)
@given(statement=_statements())
def test_any_statement_is_read_back_as_it_was(statement: Statement) -> None:
    assert Statement.from_payload(statement.to_payload()) == statement


@settings(max_examples=50)
@given(statement=_statements(), indent=st.sampled_from([None, 0, 1]))
def test_a_statement_has_one_byte_form(statement: Statement, indent: int | None) -> None:
    with pytest.raises(sp.MalformedPackage):
        Statement.from_payload(json.dumps(json.loads(statement.to_payload()), indent=indent).encode())


@settings(max_examples=300)
@given(splices=_splices, envelope_too=st.none() | _splices)
def test_a_signed_package_that_was_changed_anyhow_is_refused(
    workshop: Any, splices: list[tuple[int, int, bytes]], envelope_too: list[tuple[int, int, bytes]] | None
) -> None:
    files = {"a": b"hello", "model.pkl": pickle.dumps(OrderedDict(w=1), 4)}
    workshop.put_signed(files, pickles={"model.pkl": ("collections:OrderedDict",)})
    good = dict(workshop.storage.objects)
    changed = dict(good)
    for name, changes in ((NAME, splices), (NAME + ENVELOPE_SUFFIX, envelope_too or [])):
        for change in changes:
            changed[name] = _spliced(changed[name], *change)
    workshop.storage.objects = changed
    if changed == good:
        workshop.verify().close()
        return
    with pytest.raises(sp.VerificationError):
        workshop.verify()


@settings(max_examples=300)
@given(pieces=st.lists(st.sampled_from(pickle_programs.PIECES), max_size=14), memo=st.booleans())
def test_the_scan_of_any_program_finds_what_the_unpicklers_ask_for(pieces: list[bytes], memo: bool) -> None:
    names = pickle_programs.text("one") + b"\x94" + pickle_programs.text("two") + b"\x94"
    fuzz_pickle.check((names if memo else b"") + b"".join(pieces) + b".")


@settings(max_examples=200)
@given(
    parts=st.lists(st.lists(st.sampled_from(pickle_programs.PIECES), max_size=4).map(b"".join), min_size=1, max_size=4),
    lengths=st.lists(st.integers(-2, 2), min_size=4, max_size=4),
)
def test_the_scan_of_any_program_in_frames_finds_what_the_unpicklers_ask_for(
    parts: list[bytes], lengths: list[int]
) -> None:
    framed = (
        pickle_programs.frame(max(0, len(part) + more)) + part for part, more in zip(parts, lengths, strict=False)
    )
    fuzz_pickle.check(b"\x80\x04" + b"".join(framed) + b".")


_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
_hashable = st.text(max_size=3) | st.integers() | st.tuples(st.integers(), st.text(max_size=3))
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_hashable, inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(_hashable, max_size=3)
        | st.dictionaries(_hashable, inner, max_size=3).map(OrderedDict)
        | st.lists(inner, min_size=1, max_size=2).map(lambda held: [held, held])
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("pickler", [pickle.dumps, pickle._dumps], ids=["C", "Python"])  # type: ignore[attr-defined]
@pytest.mark.parametrize("protocol", [3, 4, 5])
@settings(max_examples=60)
@given(value=_values)
def test_any_value_that_python_pickles_is_scanned_and_loaded(pickler: Any, protocol: int, value: object) -> None:
    data = pickler(value, protocol)
    for each in (data, pickletools.optimize(data)):
        fuzz_pickle.check(each)
        assert pickles.load(each, pickles.scan(each)) == value


_sizes = st.lists(
    st.tuples(_names, st.integers(0, 200) | _numbers), min_size=1, max_size=3, unique_by=lambda file: file[0]
)


@settings(max_examples=100)
@given(splices=_splices, files=_sizes)
def test_a_signed_list_of_any_sizes_never_reads_beyond_the_archive(
    workshop: Any, splices: list[tuple[int, int, bytes]], files: list[tuple[str, int]]
) -> None:
    """The statement is signed, and says what it likes of the files: the archive is another's."""
    archive = workshop.archive({"a": b"hello"})
    for splice in splices:
        archive = _spliced(archive, *splice)
    named = {name.lower(): (name, size) for name, size in files}
    listed = sorted(named.values())
    digest = Digest(DigestAlgorithm.BLAKE3, "0a" * 32)
    signed = tuple(SignedFile(name=name, size=size, digest=digest) for name, size in listed)
    statement = workshop.statement(archive, {"a": b"hello"}).model_copy(update={"files": signed})
    workshop.put(archive, workshop.envelope(statement))
    if archive == workshop.archive({"a": b"hello"}) and listed == [("a", 5)]:
        return
    with pytest.raises(sp.VerificationError):
        workshop.verify()
