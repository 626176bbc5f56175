"""Verification keys, which the serving side gets, and the text forms that they share with signing keys."""

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys import algorithms
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.files import KEYGEN, read_key

_KEY_ID_BYTES = 16
_HMAC_KEY_ID_SALT = b"signed_parameters key id v1"


@dataclass(frozen=True)
class VerificationKey:
    """What the serving side needs to check a signature.

    `str(key)` gives `ALGORITHM:BASE64URL`, and `VerificationKey.parse` reads that. For Ed25519 it is public. For
    HMAC-SHA-512 it is the secret, and who holds it can sign; therefore `repr` shows the key id only.

    Attributes:
        algorithm: the only algorithm that signatures by this key are checked with.
        material: the public key (32 bytes), or the secret (32 bytes or more).

    Raises:
        ConfigurationError: it has the wrong length, or is a public key for which anybody, or nobody, can sign.
    """

    algorithm: Algorithm
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_length(self.algorithm, self.material, "verification key")
        if self.algorithm is Algorithm.ED25519 and (bad := algorithms.describe_bad_public_key(self.material)):
            expected, found = bad
            raise ConfigurationError(
                "verification key is no Ed25519 public key",
                expected=expected,
                found=found,
                remedy="Ask its owner for it again, and do not trust who gave you this one unseen.",
            )

    @classmethod
    def parse(cls, text: str) -> "VerificationKey":
        """Read a key from its text form.

        Raises:
            ConfigurationError: the text is not a verification key.
        """
        name, separator, material = text.strip().partition(":")
        if not separator:
            raise ConfigurationError(
                "verification key is not usable", expected="ALGORITHM:BASE64URL, as in ed25519:...", remedy=KEYGEN
            )
        return cls(algorithm_named(name, "verification key"), decode(material, "verification key"))

    @classmethod
    def load(cls, source: str | os.PathLike[str], *, folder: Path | None = None) -> "VerificationKey":
        """Read the text form of a key from a file (`PATH` or `file:PATH`) or an environment variable (`env:NAME`).

        Args:
            source: where the text is.
            folder: what a relative path starts from; None for the working folder.

        Raises:
            ConfigurationError: there is no such file or variable, it holds no verification key, or others may read
                the secret of an HMAC.
        """
        read = read_key(source, "verification key", folder)
        key = cls.parse(read.text)
        if key.algorithm is Algorithm.HMAC_SHA512:
            read.check_private()
        return key

    @property
    def key_id(self) -> str:
        """Name of the key: 32 hexadecimal digits, which tell nothing of a secret."""
        if self.algorithm is Algorithm.ED25519:
            digest = hashlib.sha256(b"ed25519\0" + self.material).digest()
        else:
            digest = hmac.digest(self.material, _HMAC_KEY_ID_SALT, "sha512")
        return digest[:_KEY_ID_BYTES].hex()

    def signature_holds(self, message: bytes, signature: bytes) -> bool:
        """Tell whether `signature` is this key's signature of `message`."""
        return algorithms.signature_holds(self.algorithm, self.material, message, signature)

    def __str__(self) -> str:
        return f"{self.algorithm}:{encode(self.material)}"

    def __repr__(self) -> str:
        return f"VerificationKey({self.algorithm}, key_id={self.key_id})"


def encode(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode(text: str, what: str) -> bytes:
    """Read base64url without padding, in its one form; `what` names the key in the error."""
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, UnicodeEncodeError):
        data = b""
    if not data or encode(data) != text:
        raise ConfigurationError(f"{what} is not usable", expected="base64url without padding", remedy=KEYGEN)
    return data


def algorithm_named(name: object, what: str) -> Algorithm:
    """Return the algorithm of a name; `what` names the key in the error."""
    try:
        return Algorithm(str(name))
    except ValueError:
        known = " or ".join(f'"{algorithm}"' for algorithm in Algorithm)
        raise ConfigurationError(f"{what} names an unknown algorithm", expected=known, remedy=KEYGEN) from None


def check_length(algorithm: Algorithm, key: bytes, what: str) -> None:
    """Refuse a key that is too short or too long for its algorithm; `what` names it in the error."""
    if bad := algorithms.describe_bad_length(algorithm, key):
        expected, found = bad
        raise ConfigurationError(
            f"{what} ({algorithm}) has the wrong length", expected=expected, found=found, remedy=KEYGEN
        )
