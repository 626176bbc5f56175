import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import signed_parameters as sp
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.envelope import Envelope
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.verification import read_envelope

Make = Callable[..., Path]
FILES = {"model.pkl": b"\x80\x04N.", "metrics.json": b"{}"}


@pytest.mark.parametrize("algorithm", ["ed25519", "hmac-sha512"])
@pytest.mark.parametrize("digest", list(DigestAlgorithm))
def test_what_was_signed_verifies(make_package: Make, algorithm: str, digest: str) -> None:
    key = sp.SigningKey.generate(algorithm)
    path = make_package(FILES, key=key, digest=digest)
    with sp.verify_package(path, sp.TrustPolicy(name="m", keys=[key.verification_key])) as package:
        assert {name: package.read(name) for name in package.names} == FILES
        assert package.load_pickle("model.pkl") is None
        assert package.key_id == key.key_id


@pytest.mark.parametrize("address", [str, Path, Path.as_uri], ids=["text", "path", "URI"])
def test_every_form_of_a_local_address_works(
    make_package: Make, policy: sp.TrustPolicy, address: Callable[[Path], Any]
) -> None:
    with sp.verify_package(address(make_package(FILES)), policy) as package:
        assert package.statement.name == "m"


def test_a_relative_path_works(make_package: Make, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_package(FILES)
    monkeypatch.chdir(path.parent)
    sp.verify_package(path.name, policy).close()


def test_a_local_package_is_not_copied(
    make_package: Make, policy: sp.TrustPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    sp.verify_package(make_package(FILES), policy).close()


@pytest.mark.parametrize("tells_sizes", [True, False])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 1 << 20])
def test_a_package_that_comes_over_a_network_verifies(workshop: Any, tells_sizes: bool, chunk_bytes: int) -> None:
    workshop.storage.tells_sizes, workshop.storage.chunk_bytes = tells_sizes, chunk_bytes
    workshop.put_signed(FILES, pickles={"model.pkl": ()})
    with workshop.verify() as package:
        workshop.storage.objects.clear()
        assert {name: package.read(name) for name in package.names} == FILES


def test_the_copy_of_a_download_has_no_name(workshop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workshop.put_signed(FILES)
    with workshop.verify():
        assert list(tmp_path.iterdir()) == []


def test_a_second_signer_can_be_added(workshop: Any, hmac_key: sp.SigningKey) -> None:
    workshop.put_signed(FILES)
    name = f"package.zip{ENVELOPE_SUFFIX}"
    both = Envelope.from_bytes(workshop.storage.objects[name]).signed_by(hmac_key)
    workshop.storage.objects[name] = both.to_bytes()
    for key in (workshop.key, hmac_key):
        with workshop.verify(sp.TrustPolicy(name="m", keys=[key.verification_key])) as package:
            assert package.key_id == key.key_id


def test_the_policy_is_checked_before_the_package_is_fetched(workshop: Any) -> None:
    workshop.put_signed(FILES, name="other")
    del workshop.storage.objects["package.zip"]
    with pytest.raises(sp.NameMismatch):
        workshop.verify()


def test_a_package_that_is_missing_beside_its_envelope(workshop: Any) -> None:
    workshop.put_signed(FILES)
    del workshop.storage.objects["package.zip"]
    with pytest.raises(sp.NotFound, match=r"memory://package.zip does not exist"):
        workshop.verify()


def test_expiry_is_judged_by_the_time_that_is_given(workshop: Any) -> None:
    workshop.put_signed(FILES, expires=datetime(2026, 12, 1, tzinfo=UTC))
    workshop.verify(now=datetime(2026, 11, 30, tzinfo=UTC)).close()
    with pytest.raises(sp.Expired):
        workshop.verify(now=datetime(2026, 12, 2, tzinfo=UTC))


def test_an_envelope_can_be_read_without_trust(workshop: Any) -> None:
    workshop.put_signed(FILES)
    envelope = read_envelope(workshop.storage, "package.zip", 10_000)
    assert [signature.key_id for signature in envelope.signatures] == [workshop.key.key_id]
    with pytest.raises(sp.TooLarge):
        read_envelope(workshop.storage, "package.zip", 10)


def test_no_descriptor_stays_open_after_a_refusal(make_package: Make, policy: sp.TrustPolicy) -> None:
    path = make_package(FILES)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(sp.DigestMismatch):
        sp.verify_package(path, policy)
    assert os.listdir("/proc/self/fd") == before
