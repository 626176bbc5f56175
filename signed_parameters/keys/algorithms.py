"""The two signature algorithms, both run by itsdangerous' `Signer`.

HMAC-SHA-512 is one of itsdangerous' own; Ed25519 (RFC 8032) is a `SigningAlgorithm` for it. The key derivation and the
text form are settled here, so that the rest of the package deals in raw signatures of raw bytes.
"""

import hashlib
import secrets
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from itsdangerous import Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import HMACAlgorithm, SigningAlgorithm

HMAC_SALT = b"signed_parameters envelope v1"
_MINIMUM_HMAC_BYTES = 32
_GENERATED_HMAC_BYTES = 64
_ED25519_BYTES = 32
_FIELD = 2**255 - 19
_CURVE = -121665 * pow(121666, -1, _FIELD) % _FIELD  # the d of -x^2 + y^2 = 1 + d x^2 y^2


class Algorithm(StrEnum):
    """A signature algorithm, by the name that keys and policies use."""

    ED25519 = "ed25519"
    HMAC_SHA512 = "hmac-sha512"


class Ed25519Algorithm(SigningAlgorithm):
    """Ed25519 for itsdangerous: signs with a private key (32 bytes), verifies with a public key (32 bytes)."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        """Return the signature (64 bytes) of `value` by the private key."""
        return Ed25519PrivateKey.from_private_bytes(key).sign(value)

    def verify_signature(self, key: bytes, value: bytes, sig: bytes) -> bool:
        """Tell whether `sig` is the signature of `value` by the private key that belongs to the public key."""
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(sig, value)
        except InvalidSignature:
            return False
        return True


def _signer(algorithm: Algorithm, key: bytes) -> Signer:
    if algorithm is Algorithm.ED25519:
        return Signer(key, key_derivation="none", algorithm=Ed25519Algorithm())
    return Signer(
        key,
        salt=HMAC_SALT,
        key_derivation="hmac",
        digest_method=hashlib.sha512,
        algorithm=HMACAlgorithm(hashlib.sha512),
    )


def sign(algorithm: Algorithm, private_key: bytes, message: bytes) -> bytes:
    """Return the raw signature of `message`: 64 bytes with either algorithm."""
    return base64_decode(_signer(algorithm, private_key).get_signature(message))


def signature_holds(algorithm: Algorithm, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is the key owner's signature of `message`; HMACs are compared in constant time."""
    return _signer(algorithm, public_key).verify_signature(message, base64_encode(signature))


def generate(algorithm: Algorithm) -> bytes:
    """Return a new private key from the operating system's source of randomness."""
    return secrets.token_bytes(_ED25519_BYTES if algorithm is Algorithm.ED25519 else _GENERATED_HMAC_BYTES)


def public_key_of(algorithm: Algorithm, private_key: bytes) -> bytes:
    """Return what verifies: the public key, or with HMAC the secret itself."""
    if algorithm is Algorithm.ED25519:
        return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
    return private_key


def describe_bad_length(algorithm: Algorithm, key: bytes) -> tuple[str, str] | None:
    """Return (expected, found) where a key of this length cannot be one of the algorithm, else None."""
    if algorithm is Algorithm.ED25519:
        good, expected = len(key) == _ED25519_BYTES, f"{_ED25519_BYTES} bytes"
    else:
        good, expected = len(key) >= _MINIMUM_HMAC_BYTES, f"at least {_MINIMUM_HMAC_BYTES} bytes"
    return None if good else (expected, f"{len(key)} bytes")


def describe_bad_public_key(public_key: bytes) -> tuple[str, str] | None:
    """Return (expected, found) where 32 bytes are no Ed25519 public key that only one signer can sign for, else None.

    A point of small order verifies one forged signature of any message, or of every eighth; no private key has one.
    """
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    if y >= _FIELD:
        return "a point in its one encoding", "a coordinate beyond the field"
    # The orders 1 and 2 have y^2 = 1, order 4 has y = 0, and doubling a point of order 8 gives y = 0.
    if y * (y**2 - 1) * (_CURVE * y**4 + 2 * y**2 - 1) % _FIELD == 0:
        return "a point of large order", "one of small order, for which anybody can sign"
    # x^2 is this fraction; it is a square where fraction and product are.
    square = (y**2 - 1) * (_CURVE * y**2 + 1)
    if pow(square, (_FIELD - 1) // 2, _FIELD) != 1:
        return "a point of the curve", "none"
    return None
