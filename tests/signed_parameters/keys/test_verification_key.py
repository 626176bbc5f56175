"""Public keys that would let anybody sign, and keys that are read from where they are kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import signed_parameters as sp
from signed_parameters.keys.algorithms import Algorithm

FIELD = 2**255 - 19
SIGN = 2**255
IDENTITY = (1).to_bytes(32, "little")
ORDER_8 = [
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    FIELD - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
]
SMALL = [0, 1, FIELD - 1, *ORDER_8]
NON_CANONICAL = [FIELD, FIELD + 1]


def _verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("point", [*SMALL, *NON_CANONICAL, *(value + SIGN for value in SMALL)])
def test_a_public_key_for_which_anybody_can_sign_is_refused(point: int) -> None:
    material = point.to_bytes(32, "little")
    forged = IDENTITY + bytes(32)  # made without any private key
    assert any(_verifies(material, forged, b"%d" % number) for number in range(400))
    with pytest.raises(sp.ConfigurationError, match=r"is no Ed25519 public key: expected a point .*found"):
        sp.VerificationKey(Algorithm.ED25519, material)


@pytest.mark.parametrize("point", [FIELD + 3, FIELD + 18, 2**255 - 1, FIELD + 4 + SIGN])
def test_a_public_key_has_one_encoding(point: int) -> None:
    with pytest.raises(sp.ConfigurationError, match="found a coordinate beyond the field"):
        sp.VerificationKey(Algorithm.ED25519, point.to_bytes(32, "little"))


@pytest.mark.parametrize("coordinate", [2, 7, 8])
def test_bytes_that_are_no_point_are_no_public_key(coordinate: int) -> None:
    """About half of all texts of 32 bytes are none, so a key that was mistyped often shows at once."""
    with pytest.raises(sp.ConfigurationError, match="expected a point of the curve"):
        sp.VerificationKey(Algorithm.ED25519, coordinate.to_bytes(32, "little"))


def test_true_public_keys_are_taken() -> None:
    for _ in range(100):
        key = sp.SigningKey.generate().verification_key
        assert sp.VerificationKey.parse(str(key)) == key


def test_an_hmac_secret_may_be_any_bytes() -> None:
    assert sp.VerificationKey(Algorithm.HMAC_SHA512, bytes(32)).material == bytes(32)


def test_a_verification_key_is_loaded_from_where_it_is(
    key: sp.SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{key.verification_key}\n"
    (tmp_path / "key.txt").write_text(text)
    monkeypatch.setenv("TRUSTED", text)
    for source in (tmp_path / "key.txt", f"file:{tmp_path}/key.txt", "env:TRUSTED"):
        assert sp.VerificationKey.load(source) == key.verification_key
    assert sp.VerificationKey.load("file:key.txt", folder=tmp_path) == key.verification_key


def test_a_secret_that_others_can_read_is_refused_and_a_public_key_is_not(
    key: sp.SigningKey, hmac_key: sp.SigningKey, tmp_path: Path
) -> None:
    path = tmp_path / "key.txt"
    path.write_text(str(key.verification_key))
    path.chmod(0o644)
    assert sp.VerificationKey.load(path) == key.verification_key
    path.write_text(str(hmac_key.verification_key))
    with pytest.raises(sp.ConfigurationError, match=r"verification key .* is open to others"):
        sp.VerificationKey.load(path)
    path.chmod(0o600)
    assert sp.VerificationKey.load(path) == hmac_key.verification_key


@pytest.mark.parametrize("source", ["env:", "env:NO_SUCH_VARIABLE", "file:", "file:missing", "missing", "a\0b"])
def test_a_verification_key_that_is_not_there(
    source: str, refused: Callable[..., AbstractContextManager[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused(sp.ConfigurationError, match="verification key"):
        sp.VerificationKey.load(source)
