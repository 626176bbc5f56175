"""The older inline form: zips as they were made, and attacks on them."""

import base64
import io
import itertools
import os
import pickle
import stat
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

import signed_parameters as sp
from signed_parameters.inline import InlineFormWarning, load_inline, read_inline

Refused = Callable[..., Any]
ENTRY = "signed_model.pkl"
PICKLE = pickle.dumps(OrderedDict(a=1.5))
GLOBALS = ["collections:OrderedDict"]


@pytest.fixture
def secret() -> str:
    return os.urandom(16).hex()


@pytest.fixture(autouse=True)
def _asked_for_by_name() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InlineFormWarning)
        yield


def _zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # a name twice
        for name, data in entries:
            archive.writestr(name, data, compress_type=method)
    return file.getvalue()


def _read(memory_storage: Any, data: bytes, secret: str | bytes, **options: Any) -> bytes:
    memory_storage.objects = {"old.zip": data}
    return read_inline("old.zip", secret, storage=memory_storage, **options)


# What works


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_the_older_form_gives_its_pickle(tmp_path: Path, secret: str, method: int) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(_zipped(("report.html", b"a report"), (ENTRY, Signer(secret).sign(PICKLE)), method=method))
    for uri in (path, str(path), f"file://{path}"):
        assert read_inline(uri, secret) == PICKLE
    assert read_inline(path, secret.encode()) == PICKLE
    assert load_inline(path, secret, GLOBALS) == OrderedDict(a=1.5)


def test_a_pickle_of_many_chunks_with_dots_in_it(memory_storage: Any, secret: str) -> None:
    for size in (0, 1, 27, 28, 29, (1 << 20) - 28, (1 << 20) - 1, 1 << 20, (1 << 20) + 5, 3_000_000):
        data = os.urandom(size // 2) + b"." * (size - size // 2)
        assert _read(memory_storage, _zipped((ENTRY, Signer(secret).sign(data))), secret) == data


def test_it_warns_whoever_asks(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(_zipped((ENTRY, Signer(secret).sign(PICKLE))))
    for use in (lambda: read_inline(path, secret), lambda: load_inline(path, secret, GLOBALS)):
        with pytest.warns(InlineFormWarning, match=r"no name, version or age.*SHA-1.*interoperation") as caught:
            use()
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InlineFormWarning):
            read_inline(path, secret)


def test_it_is_never_read_without_being_asked_for(tmp_path: Path, secret: str, policy: sp.TrustPolicy) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(_zipped((ENTRY, Signer(secret).sign(PICKLE))))
    with pytest.raises(sp.NotFound, match="no envelope"):
        sp.verify_package(path, policy)


# Attacks on the signature


def test_any_byte_changed(memory_storage: Any, secret: str, refused: Refused) -> None:
    signed = Signer(secret).sign(PICKLE)
    for position in range(len(signed)):
        changed = bytearray(signed)
        changed[position] ^= 1
        with refused(sp.BadSignature):
            _read(memory_storage, _zipped((ENTRY, bytes(changed))), secret)


def test_any_byte_of_the_zip_changed_is_refused_or_gives_the_signed_pickle(
    memory_storage: Any, secret: str, refused: Refused
) -> None:
    good = _zipped((ENTRY, Signer(secret).sign(PICKLE)))
    for position, bit in itertools.product(range(len(good)), (1, 0x80)):
        changed = bytearray(good)
        changed[position] ^= bit
        try:
            assert _read(memory_storage, bytes(changed), secret) == PICKLE
        except (sp.MalformedPackage, sp.BadSignature):
            continue


def test_another_spelling_of_the_signature(memory_storage: Any, secret: str, refused: Refused) -> None:
    value, _, text = Signer(secret).sign(PICKLE).rpartition(b".")
    digest = base64.urlsafe_b64decode(text + b"=")
    last = text[-1:]
    others = [
        text[:-1] + bytes([letter])
        for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if bytes([letter]) != last and base64.urlsafe_b64decode(text[:-1] + bytes([letter, ord("=")])) == digest
    ]
    assert len(others) == 3
    for other in (*others, text + b"=", text[:-3] + b"!!!!" + text[-3:]):
        assert Signer(secret).unsign(value + b"." + other) == value, "which itsdangerous takes for the same"
        with refused(sp.BadSignature):
            _read(memory_storage, _zipped((ENTRY, value + b"." + other)), secret)


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(lambda secret: Signer(secret + "x").sign(PICKLE), id="another secret"),
        pytest.param(lambda secret: Signer(secret, salt="another").sign(PICKLE), id="another salt"),
        pytest.param(lambda secret: Signer(secret, key_derivation="none").sign(PICKLE), id="another derivation"),
        pytest.param(lambda secret: Signer(secret, sep=":").sign(PICKLE), id="another separator"),
        pytest.param(lambda secret: Signer("").sign(PICKLE), id="no secret"),
        pytest.param(lambda secret: Signer(secret).sign(PICKLE).replace(b".", b""), id="no separator"),
        pytest.param(lambda secret: Signer(secret).get_signature(PICKLE), id="the signature only"),
        pytest.param(lambda secret: PICKLE, id="the pickle only"),
        pytest.param(lambda secret: PICKLE + b".", id="an empty signature"),
        pytest.param(lambda secret: b"", id="nothing"),
        pytest.param(lambda secret: b".", id="a separator only"),
        pytest.param(lambda secret: b"x" + Signer(secret).sign(PICKLE), id="a byte in front"),
        pytest.param(lambda secret: Signer(secret).sign(PICKLE) + b"\n", id="a byte behind"),
    ],
)
def test_what_is_not_signed_by_the_secret(
    memory_storage: Any, secret: str, refused: Refused, sign: Callable[[str], bytes]
) -> None:
    with refused(sp.BadSignature):
        _read(memory_storage, _zipped((ENTRY, sign(secret))), secret)


@pytest.mark.parametrize("bad", ["", b"", None, 5, ["a"], "\ud800"])
def test_a_secret_that_is_none(memory_storage: Any, refused: Refused, bad: Any) -> None:
    with refused(sp.ConfigurationError, match="the secret"):
        _read(memory_storage, _zipped((ENTRY, Signer("").sign(PICKLE))), bad)


# Attacks on the zip


def _entry(name: str = ENTRY, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def test_a_bomb_takes_no_memory_before_its_signature_holds(memory_storage: Any, secret: str, refused: Refused) -> None:
    bomb = _zipped((ENTRY, bytes(200 << 20)))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        with refused(sp.BadSignature):
            _read(memory_storage, bomb, secret)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_is_given_up_at_the_limit_whatever_it_says_of_its_size(
    memory_storage: Any, secret: str, refused: Refused
) -> None:
    bomb = _zipped((ENTRY, bytes(8 << 20)))
    with refused(sp.TooLarge, match=f"{ENTRY}.*at most 1000000 bytes"):
        _read(memory_storage, bomb, secret, maximum=1_000_000)
    lying = bomb.replace((8 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != bomb
    with refused(sp.MalformedPackage, sp.BadSignature):
        _read(memory_storage, lying, secret, maximum=1_000_000)


def test_a_zip_above_the_limit_is_not_read(memory_storage: Any, secret: str, refused: Refused) -> None:
    with refused(sp.TooLarge, match="old.zip"):
        _read(memory_storage, _zipped((ENTRY, os.urandom(2000)), method=zipfile.ZIP_STORED), secret, maximum=1000)


def test_a_directory_of_many_entries_is_not_taken_in(memory_storage: Any, secret: str, refused: Refused) -> None:
    many = _zipped(*((f"{number:060}", b"") for number in range(10_000)), (ENTRY, Signer(secret).sign(PICKLE)))
    tracemalloc.start()
    try:
        with refused(sp.MalformedPackage, match="directory"):
            _read(memory_storage, many, secret)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(many) + (1 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "other",
    [
        ENTRY,
        ENTRY.upper(),
        f"../{ENTRY}",
        f"/{ENTRY}",
        f"./{ENTRY}",
        f"a/../{ENTRY}",
        f"a/{ENTRY}",
        f"a\\{ENTRY}",
        f"C:\\{ENTRY}",
    ],
)
def test_a_second_entry_or_one_elsewhere(memory_storage: Any, secret: str, refused: Refused, other: str) -> None:
    info = _entry()
    info.filename = other  # not through the constructor, which mends some names
    good, second = (ENTRY, Signer(secret).sign(PICKLE)), (info, Signer(secret).sign(b"N."))
    for entries in ((good, second), (second, good)) if other != ENTRY else ((good, second),):
        with refused(sp.MalformedPackage, match=r"one signed_model\.pkl"):
            _read(memory_storage, _zipped(*entries), secret)
    if other != ENTRY:
        with refused(sp.MalformedPackage):
            _read(memory_storage, _zipped(second), secret)


def test_a_name_that_goes_on_behind_a_null_byte(memory_storage: Any, secret: str, refused: Refused) -> None:
    data = _zipped((f"{ENTRY}#.txt", Signer(secret).sign(PICKLE))).replace(f"{ENTRY}#".encode(), f"{ENTRY}\0".encode())
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == [ENTRY]
    with refused(sp.MalformedPackage):
        _read(memory_storage, data, secret)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_the_like(memory_storage: Any, secret: str, refused: Refused, kind: int) -> None:
    with refused(sp.MalformedPackage, match="no regular file"):
        _read(memory_storage, _zipped((_entry(mode=kind | 0o777), Signer(secret).sign(PICKLE))), secret)


@pytest.mark.parametrize("mode", [0, 0o600, stat.S_IFREG | 0o644])
def test_modes_that_zips_have(memory_storage: Any, secret: str, mode: int) -> None:
    assert _read(memory_storage, _zipped((_entry(mode=mode), Signer(secret).sign(PICKLE))), secret) == PICKLE


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_bounds(memory_storage: Any, secret: str, refused: Refused, method: int) -> None:
    with refused(sp.MalformedPackage, match="method"):
        _read(memory_storage, _zipped((ENTRY, Signer(secret).sign(PICKLE)), method=method), secret)


def test_an_encrypted_entry(memory_storage: Any, secret: str, refused: Refused) -> None:
    data = bytearray(_zipped((ENTRY, Signer(secret).sign(PICKLE))))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with refused(sp.MalformedPackage, match="encrypted"):
        _read(memory_storage, bytes(data), secret)


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18), PICKLE, bytes(1000)])
def test_what_is_no_such_zip(memory_storage: Any, secret: str, refused: Refused, data: bytes) -> None:
    with refused(sp.MalformedPackage, match="older inline form"):
        _read(memory_storage, data, secret)


def test_what_is_not_there(tmp_path: Path, secret: str) -> None:
    with pytest.raises(sp.NotFound):
        read_inline(tmp_path / "absent.zip", secret)


_good = _zipped((ENTRY, Signer("s").sign(PICKLE)))


@given(st.lists(st.tuples(st.integers(0, len(_good) - 1), st.integers(0, 255)), max_size=8), st.binary(max_size=40))
def test_arbitrary_bytes_raise_nothing_but_our_errors(
    memory_storage: Any, changes: list[tuple[int, int]], behind: bytes
) -> None:
    data = bytearray(_good)
    for position, value in changes:
        data[position] = value
    with suppress(sp.MalformedPackage, sp.BadSignature):
        assert _read(memory_storage, bytes(data) + behind, "s") == PICKLE


# Loading


class _Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


def test_a_pickle_loads_with_the_caller_s_list_only(tmp_path: Path, secret: str, refused: Refused) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(_zipped((ENTRY, Signer(secret).sign(PICKLE))))
    for allowed in ([], ["collections:Counter"], ["builtins:dict"]):
        with refused(sp.UnsafePickle, match="collections:OrderedDict"):
            load_inline(path, secret, allowed)
    with refused(sp.ConfigurationError, match="allowed_globals"):
        load_inline(path, secret, "collections:OrderedDict")


def test_a_signed_exploit_does_not_run_even_where_it_is_allowed(tmp_path: Path, secret: str, refused: Refused) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(_zipped((ENTRY, Signer(secret).sign(pickle.dumps(_Exploit())))))
    for allowed in ([], ["posix:system"]):
        with refused(sp.UnsafePickle, match="posix:system"):
            load_inline(path, secret, allowed)


def test_nothing_is_unpickled_while_it_is_not_known_to_be_good(tmp_path: Path, secret: str, refused: Refused) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(_zipped((ENTRY, Signer("another").sign(PICKLE))))
    with refused(sp.BadSignature):
        load_inline(path, secret, GLOBALS)
