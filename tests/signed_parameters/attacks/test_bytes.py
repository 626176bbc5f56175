"""Every byte of a small package and of its envelope changed, cut or added, one at a time."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.statement import ENVELOPE_SUFFIX

NAME = "package.zip"
FILES = {"a": b"hello", "model.pkl": pickle.dumps({"w": 1}, 4)}
CHANGES: dict[str, Callable[[int], int]] = {
    "lowest bit": lambda byte: byte ^ 0x01,
    "case bit": lambda byte: byte ^ 0x20,
    "highest bit": lambda byte: byte ^ 0x80,
    "zero": lambda byte: 0,
    "space": lambda byte: 0x20,
}


def _changed(data: bytes, change: Callable[[int], int]) -> Iterator[tuple[int, bytes]]:
    for at, byte in enumerate(data):
        if change(byte) != byte:
            yield at, data[:at] + bytes([change(byte)]) + data[at + 1 :]


@pytest.fixture(params=["ed25519", "hmac-sha512"])
def signed(request: pytest.FixtureRequest, workshop: Any, hmac_key: sp.SigningKey) -> Any:
    """A workshop with a good package in its storage, which verifies."""
    if request.param == "hmac-sha512":
        workshop.key = hmac_key
        workshop.policy = sp.TrustPolicy(name="m", keys=[hmac_key.verification_key])
    workshop.put_signed(FILES, pickles={"model.pkl": ()})
    with workshop.verify() as package:
        assert package.load_pickle("model.pkl") == {"w": 1}
    return workshop


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("tells_sizes", [True, False])
def test_any_byte_of_the_package_changed(signed: Any, refused: Any, change: str, tells_sizes: bool) -> None:
    signed.storage.tells_sizes = tells_sizes
    for at, data in _changed(signed.storage.objects[NAME], CHANGES[change]):
        signed.storage.objects[NAME] = data
        with refused(sp.DigestMismatch, match="memory://package.zip is not what was signed"):
            signed.verify()
            pytest.fail(f"byte {at}")


@pytest.mark.parametrize("change", CHANGES)
def test_any_byte_of_the_envelope_changed(signed: Any, refused: Any, change: str) -> None:
    signed.storage.served.clear()
    for at, data in _changed(signed.storage.objects[NAME + ENVELOPE_SUFFIX], CHANGES[change]):
        signed.storage.objects[NAME + ENVELOPE_SUFFIX] = data
        with refused(sp.MalformedPackage, sp.BadSignature, sp.UnknownKey):
            signed.verify()
            pytest.fail(f"byte {at}")
    assert NAME not in signed.storage.served, "the package is not even fetched"


def test_any_byte_of_a_package_on_this_machine_changed(make_package: Any, policy: sp.TrustPolicy, refused: Any) -> None:
    path = make_package(FILES)
    good = path.read_bytes()
    for at, data in _changed(good, CHANGES["lowest bit"]):
        path.write_bytes(data)
        with refused(sp.DigestMismatch):
            sp.verify_package(path, policy)
            pytest.fail(f"byte {at}")
    path.write_bytes(good)
    sp.verify_package(path, policy).close()


@pytest.mark.parametrize("byte", [b"\0", b"\n", b" ", b"P", b"{", b"}", b"\xff"])
def test_a_byte_added_at_either_end(signed: Any, refused: Any, byte: bytes) -> None:
    good = dict(signed.storage.objects)
    for name, error in ((NAME, sp.DigestMismatch), (NAME + ENVELOPE_SUFFIX, sp.MalformedPackage)):
        for data in (byte + good[name], good[name] + byte):
            signed.storage.objects = {**good, name: data}
            with refused(error):
                signed.verify()


@pytest.mark.parametrize("tells_sizes", [True, False])
def test_a_byte_removed_anywhere(signed: Any, refused: Any, tells_sizes: bool) -> None:
    signed.storage.tells_sizes = tells_sizes
    good = dict(signed.storage.objects)
    for name, errors in (
        (NAME, (sp.DigestMismatch,)),
        (NAME + ENVELOPE_SUFFIX, (sp.MalformedPackage, sp.BadSignature, sp.UnknownKey)),
    ):
        for at in range(len(good[name])):
            signed.storage.objects = {**good, name: good[name][:at] + good[name][at + 1 :]}
            with refused(*errors):
                signed.verify()
                pytest.fail(f"byte {at} of {name}")


def test_a_package_or_an_envelope_that_ends_anywhere_early(signed: Any, refused: Any) -> None:
    good = dict(signed.storage.objects)
    for name, error in ((NAME, sp.DigestMismatch), (NAME + ENVELOPE_SUFFIX, sp.MalformedPackage)):
        for length in range(len(good[name])):
            signed.storage.objects = {**good, name: good[name][:length]}
            with refused(error):
                signed.verify()
                pytest.fail(f"{length} bytes of {name}")


def test_bytes_swapped(signed: Any, refused: Any) -> None:
    good = signed.storage.objects[NAME]
    for at in range(len(good) - 1):
        if good[at] != good[at + 1]:
            signed.storage.objects[NAME] = good[:at] + good[at + 1 : at + 2] + good[at : at + 1] + good[at + 2 :]
            with refused(sp.DigestMismatch):
                signed.verify()


def test_nothing_stays_behind(signed: Any, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = os.listdir("/proc/self/fd")
    signed.storage.objects[NAME] += b"x"
    with refused(sp.DigestMismatch):
        signed.verify()
    assert os.listdir("/proc/self/fd") == before
    assert list(tmp_path.iterdir()) == []
