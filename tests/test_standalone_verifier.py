"""The stand-alone verifier, written from docs/format.md alone, accepts and refuses what the library does."""

import ast
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import DigestAlgorithm, digest_bytes
from signed_parameters.envelope import Envelope
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.layout import Entry, closing_bytes

SOURCE = Path(__file__).with_name("standalone_verifier.py")
FOLDER = SOURCE.parent / "golden" / "v1"
KEYS: dict[str, str] = json.loads((FOLDER / "keys.json").read_text())
PACKAGES = sorted(path for path in FOLDER.glob("*.zip") if not path.name.startswith("both-"))
HMAC = sp.SigningKey(Algorithm.HMAC_SHA512, bytes(range(64)))  # the golden packages' test vector
NOW = datetime(2026, 11, 22, tzinfo=UTC)
# What a stranger's bytes make the verifier raise; it is a specification that runs, and has no error tree.
REFUSALS = (ValueError, KeyError, TypeError, AttributeError, StopIteration)

_specification = importlib.util.spec_from_file_location("standalone_verifier", SOURCE)
assert _specification is not None
assert _specification.loader is not None
_module = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_module)
verify: Callable[..., dict[str, bytes]] = _module.verify


def _read(package: Path) -> tuple[bytes, bytes, str]:
    key = KEYS[package.stem.rsplit("-", 2)[0]]
    return package.read_bytes(), package.with_name(package.name + ".dsse.json").read_bytes(), key


GOOD = _read(FOLDER / "hmac-sha512-blake3-expiring.zip")


def test_it_is_independent_and_short() -> None:
    text = SOURCE.read_text()
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    standard = {"base64", "datetime", "hashlib", "hmac", "json", "re", "struct", "typing"}
    assert imported == standard | {"blake3", "cryptography"}
    code = [line for line in text.partition("\n\n\n")[2].splitlines() if line.strip()]
    assert len(code) < 100


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.stem)
def test_golden_packages_are_accepted(package: Path) -> None:
    data, envelope, key = _read(package)
    files = verify(data, envelope, key, name="golden", minimum_serial=7, now=NOW)
    assert sorted(files) == ["empty", "model.pkl", "plots/every_byte.bin"]
    assert files["plots/every_byte.bin"] == bytes(range(256))


@pytest.mark.parametrize(
    "policy", [{"name": "other"}, {"minimum_serial": 8}, {"now": datetime(2036, 1, 1, tzinfo=UTC)}], ids=str
)
def test_the_policy_is_obeyed(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"another model|rolled back|expired"):
        verify(*GOOD, **{"name": "golden", "now": NOW, **policy})


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.stem)
def test_every_byte_counts(package: Path) -> None:
    data, envelope, key = _read(package)
    for bad in _changed(data):
        with pytest.raises(REFUSALS):
            verify(bad, envelope, key, name="golden", now=NOW)
    for bad in _changed(envelope):
        with pytest.raises(REFUSALS):
            verify(data, bad, key, name="golden", now=NOW)


def _changed(data: bytes) -> Iterator[bytes]:
    for at, byte in enumerate(data):
        yield data[:at] + bytes([byte ^ 0x01]) + data[at + 1 :]
    for piece in (b"\0", b"\n", b" "):
        yield piece + data
        yield data + piece
    yield from (data[:-1], data[1:], b"")


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_other_keys_are_refused(algorithm: Algorithm) -> None:
    for package in PACKAGES:
        data, envelope, _ = _read(package)
        other = str(sp.SigningKey.generate(algorithm).verification_key)
        with pytest.raises(REFUSALS):
            verify(data, envelope, other, name="golden", now=NOW)


def test_an_hmac_with_the_public_key_is_refused() -> None:
    data, envelope, key = _read(FOLDER / "ed25519-blake3-lasting.zip")
    forger = sp.SigningKey(Algorithm.HMAC_SHA512, sp.VerificationKey.parse(key).material)
    forged = Envelope(Envelope.from_bytes(envelope).payload, ()).signed_by(forger).to_bytes()
    with pytest.raises(ValueError, match="no signature by the key holds"):
        verify(data, forged, key, name="golden", now=NOW)


def _both_refuse(data: bytes, envelope: bytes, tmp_path: Path) -> None:
    with pytest.raises(REFUSALS):
        verify(data, envelope, str(HMAC.verification_key), name="golden", now=NOW)
    path = tmp_path / "p.zip"
    path.write_bytes(data)
    path.with_name("p.zip.dsse.json").write_bytes(envelope)
    with pytest.raises(sp.VerificationError):
        sp.verify_package(path, sp.TrustPolicy("golden", [HMAC.verification_key]), now=NOW)


def _signed(payload: bytes) -> bytes:
    return Envelope(payload, ()).signed_by(HMAC).to_bytes()


PAYLOAD = Envelope.from_bytes(GOOD[1]).payload
CREATED = json.loads(PAYLOAD)["predicate"]["created"].encode()
STATEMENTS: dict[str, tuple[bytes, bytes]] = {
    "a serial that is text": (b'"serial":7', b'"serial":"7"'),
    "a serial with a fraction": (b'"serial":7', b'"serial":7.0'),
    "a serial that is true": (b'"serial":7', b'"serial":true'),
    "a serial below zero": (b'"serial":7', b'"serial":-7'),
    "a serial too large": (b'"serial":7', b'"serial":9007199254740992'),
    "a serial twice": (b'"serial":7', b'"serial":6,"serial":7'),
    "a member more": (b'"serial":7', b'"serial":7,"sevial":7'),
    "a member less": (b'"serial":7,', b""),
    "a space": (b'"serial":7', b'"serial": 7'),
    "an escape": (b'"name":"golden"', b'"name":"\\u0067olden"'),
    "another predicate type": (b"package:v1", b"package:v2"),
    "another type": (b"Statement/v1", b"Statement/v2"),
    "another subject": (b"golden-0.1.0-2026_11_21.zip", b"golden-0.1.0-2026_11_20.zip"),
    "a label with a slash": (b"0.1.0", b"0/1/0"),
    "a label with a line end": (b'"name":"golden"', b'"name":"golden\\n"'),
    "a month too many": (CREATED, b"2026-13-21T00:00:00Z"),
    "a time without a zone": (CREATED, CREATED[:-1]),
    "a time with another zone": (CREATED, CREATED[:-1] + b"+00:00"),
    "a time of an early year": (CREATED, b"0999-01-01T00:00:00Z"),
    "created after it expires": (CREATED, b"2036-01-01T00:00:00Z"),
    "an entry upwards": (b'"name":"empty"', b'"name":"../empty"'),
    "an absolute entry": (b'"name":"empty"', b'"name":"/empty"'),
    "an entry renamed": (b'"name":"empty"', b'"name":"emptz"'),
    "an entry out of order": (b'"name":"empty"', b'"name":"zmpty"'),
    "a hidden entry": (b'"name":"empty"', b'"name":".mpty"'),
    "another digest algorithm": (b'"blake3"', b'"md5"'),
    "digests by another algorithm": (b'"blake3"', b'"sha256"'),
    "a size of a file": (b'"size":256', b'"size":255'),
    "the size of the package": (b'"package_size":638', b'"package_size":637'),
    "a dotted global": (b"collections:OrderedDict", b"collections:Ordered.Dict"),
    "a pickle that is no file": (b'{"model.pkl":[', b'{"model.pkk":['),
    "a global that is no list": (b'["collections:OrderedDict"]', b'"collections:OrderedDict"'),
    "null for never": (b'"expires":"', b'"expires":null,"expired":"'),
}


@pytest.mark.parametrize("change", STATEMENTS)
def test_a_wrong_statement_under_a_good_signature_is_refused(change: str, tmp_path: Path) -> None:
    old, new = STATEMENTS[change]
    assert old in PAYLOAD
    _both_refuse(GOOD[0], _signed(PAYLOAD.replace(old, new)), tmp_path)


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{}", b'{"predicate":{},"subject":[]}', b"\xff"])
def test_what_is_no_statement_is_refused(payload: bytes, tmp_path: Path) -> None:
    _both_refuse(GOOD[0], _signed(payload), tmp_path)


def test_a_statement_that_is_signed_anew_is_accepted() -> None:
    """So the refusals above are for what was changed, and not for the signing."""
    assert verify(GOOD[0], _signed(PAYLOAD), str(HMAC.verification_key), name="golden", now=NOW)


ENVELOPES: dict[str, Callable[[bytes], bytes]] = {
    "no line end": lambda e: e[:-1],
    "two line ends": lambda e: e + b"\n",
    "a space": lambda e: e.replace(b'","', b'", "', 1),
    "another member": lambda e: e.replace(b'{"payload"', b'{"a":1,"payload"', 1),
    "the payload twice": lambda e: e.replace(b'{"payload"', b'{"payload":"AAAA","payload"', 1),
    "another payload type": lambda e: e.replace(b"in-toto+json", b"in-toto+jsom"),
    "no signature": lambda e: re.sub(rb'"signatures":\[.*\]', b'"signatures":[]', e),
    "17 signatures": lambda e: re.sub(
        rb'"signatures":\[(.*)\]', lambda m: b'"signatures":[' + b",".join([m[1]] * 17) + b"]", e
    ),
    "a member of a signature more": lambda e: e.replace(b'{"keyid"', b'{"cert":"","keyid"'),
    "more than a mebibyte": lambda e: e.replace(b'"signatures"', b" " * (1 << 20) + b'"signatures"'),
}


@pytest.mark.parametrize("change", ENVELOPES)
def test_a_wrong_envelope_is_refused(change: str, tmp_path: Path) -> None:
    bad = ENVELOPES[change](GOOD[1])
    assert bad != GOOD[1]
    with pytest.raises(REFUSALS):
        verify(GOOD[0], bad, GOOD[2], name="golden", now=NOW)
    (tmp_path / "p.zip").write_bytes(GOOD[0])
    (tmp_path / "p.zip.dsse.json").write_bytes(bad)
    with pytest.raises((sp.VerificationError, sp.TooLarge)):
        sp.verify_package(tmp_path / "p.zip", sp.TrustPolicy("golden", [HMAC.verification_key]), now=NOW)


def test_a_second_signature_does_no_harm() -> None:
    both = Envelope.from_bytes(GOOD[1]).signed_by(sp.SigningKey.generate())
    for envelope in (both, Envelope(both.payload, both.signatures[::-1])):
        assert verify(GOOD[0], envelope.to_bytes(), GOOD[2], name="golden", now=NOW)


def test_any_byte_of_an_archive_changed_under_a_good_digest_is_refused(tmp_path: Path) -> None:
    """The statement tells the changed archive's own digest: only the layout and the files' digests are left."""
    data = GOOD[0]
    checksums = {match.start() + 14 + at for match in re.finditer(b"PK\3\4", data) for at in range(4)}
    old = digest_bytes(data, DigestAlgorithm.BLAKE3).value.encode()
    for at in sorted(set(range(len(data))) - checksums):
        bad = data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]
        payload = PAYLOAD.replace(old, digest_bytes(bad, DigestAlgorithm.BLAKE3).value.encode())
        with pytest.raises(ValueError, match=r"local header|directory|digest of"):
            verify(bad, _signed(payload), GOOD[2], name="golden", now=NOW)


@pytest.mark.parametrize("sizes", [[3, 2**32 - 1], [2**32 - 1, 3], [2**32 - 2], [2**33, 2**32, 0]])
def test_large_archives_have_the_layout_that_the_library_writes(sizes: list[int]) -> None:
    """The bytes of the files are only imagined: `Sparse` gives zeros for them."""
    entries: list[Entry] = []
    for number, size in enumerate(sizes):
        entries.append(Entry(f"f{number}", size, 0, entries[-1].end if entries else 0))
    parts = {entry.offset: entry.local_header() for entry in entries}
    parts[entries[-1].end] = closing_bytes(entries)
    files = [{"name": entry.name, "size": entry.size} for entry in entries]
    assert list(_module.read_archive(_Sparse(parts), files)) == [entry.name for entry in entries]
    parts[entries[-1].end] += b"x"
    with pytest.raises(ValueError, match="directory"):
        _module.read_archive(_Sparse(parts), files)


class _Sparse:
    """Stands for gibibytes: slices that begin at a part give it, others nothing."""

    def __init__(self, parts: dict[int, bytes]) -> None:
        self._parts = parts

    def __getitem__(self, wanted: slice) -> bytes:
        start = wanted.start
        if start in self._parts:
            return self._parts[start][: None if wanted.stop is None else wanted.stop - start]
        below = max(at for at in self._parts if at <= start)
        inside = self._parts[below][start - below :]
        return inside[: wanted.stop - start]
