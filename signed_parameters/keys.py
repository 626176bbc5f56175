"""Signing keys, which stay where models are trained, and verification keys, which serving gets.

With Ed25519 the two differ: who can verify cannot sign. With HMAC-SHA-512 the verification key is the secret itself.
A key's id is derived from the key, so that an envelope can name its signer and a policy can revoke it.
"""

import hashlib
import hmac
import json
import os
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from signed_parameters import algorithms
from signed_parameters.algorithms import Algorithm
from signed_parameters.errors import ConfigurationError

_KEY_ID_BYTES = 16
_HMAC_KEY_ID_SALT = b"signed_parameters key id v1"
_MAXIMUM_FILE_BYTES = 16_384
_KEYGEN = "Make one with `signed-parameters keygen`."


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str, what: str) -> bytes:
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, UnicodeEncodeError):
        data = b""
    if not data or _encode(data) != text:
        raise ConfigurationError(f"{what} is not usable", expected="base64url without padding", remedy=_KEYGEN)
    return data


def _algorithm(name: object, what: str) -> Algorithm:
    try:
        return Algorithm(str(name))
    except ValueError:
        known = " or ".join(f'"{algorithm}"' for algorithm in Algorithm)
        raise ConfigurationError(f"{what} names an unknown algorithm", expected=known, remedy=_KEYGEN) from None


def _check_length(algorithm: Algorithm, key: bytes, what: str) -> None:
    if bad := algorithms.describe_bad_length(algorithm, key):
        expected, found = bad
        raise ConfigurationError(
            f"{what} ({algorithm}) has the wrong length", expected=expected, found=found, remedy=_KEYGEN
        )


@dataclass(frozen=True)
class VerificationKey:
    """What the serving side needs to check a signature.

    `str(key)` gives `ALGORITHM:BASE64URL`, and `VerificationKey.parse` reads that. For Ed25519 it is public. For
    HMAC-SHA-512 it is the secret, and who holds it can sign; therefore `repr` shows the key id only.

    Attributes:
        algorithm: the only algorithm that signatures by this key are checked with.
        material: the public key (32 bytes), or the secret (32 bytes or more).
    """

    algorithm: Algorithm
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_length(self.algorithm, self.material, "verification key")

    @classmethod
    def parse(cls, text: str) -> "VerificationKey":
        """Read a key from its text form.

        Raises:
            ConfigurationError: the text is not a verification key.
        """
        name, separator, material = text.strip().partition(":")
        if not separator:
            raise ConfigurationError(
                "verification key is not usable", expected="ALGORITHM:BASE64URL, as in ed25519:...", remedy=_KEYGEN
            )
        return cls(_algorithm(name, "verification key"), _decode(material, "verification key"))

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
        return f"{self.algorithm}:{_encode(self.material)}"

    def __repr__(self) -> str:
        return f"VerificationKey({self.algorithm}, key_id={self.key_id})"


@dataclass(frozen=True)
class SigningKey:
    """A key that signs. Keep it where models are trained, and nowhere else.

    Attributes:
        algorithm: what it signs with.
        private_key: 32 bytes (Ed25519), or a secret of 32 bytes or more (HMAC-SHA-512).
    """

    algorithm: Algorithm
    private_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_length(self.algorithm, self.private_key, "signing key")

    @classmethod
    def generate(cls, algorithm: str = Algorithm.ED25519) -> "SigningKey":
        """Make a new key: `algorithm` is "ed25519" or "hmac-sha512".

        Raises:
            ConfigurationError: the algorithm is unknown.
        """
        chosen = _algorithm(algorithm, "signing key")
        return cls(chosen, algorithms.generate(chosen))

    @classmethod
    def load(cls, source: str | os.PathLike[str]) -> "SigningKey":
        """Read a key from a file that `save` wrote, or with `env:NAME` from an environment variable with its text.

        Raises:
            ConfigurationError: there is no such file or variable, others may read the file, or it holds no signing key.
        """
        name = os.fspath(source)
        if name.startswith("env:"):
            text, what = _read_variable(name.removeprefix("env:")), f"signing key in {name}"
        else:
            text, what = _read_private_file(Path(name)), f"signing key {name}"
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        expected = {"algorithm", "key_id", "private_key"}
        if (
            not isinstance(fields, dict)
            or set(fields) != expected
            or not all(isinstance(v, str) for v in fields.values())
        ):
            raise ConfigurationError(
                f"{what} is not usable", expected=f"a JSON object of {', '.join(sorted(expected))}", remedy=_KEYGEN
            )
        key = cls(_algorithm(fields["algorithm"], what), _decode(fields["private_key"], what))
        if key.key_id != fields["key_id"]:
            raise ConfigurationError(
                f"{what} is damaged",
                expected=f"key id {fields['key_id']}",
                found=key.key_id,
                remedy="Take it from your backup, or make and distribute a new one.",
            )
        return key

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a new file that only its owner may read (mode 0600).

        Raises:
            ConfigurationError: the file exists (a key is never overwritten) or cannot be written.
        """
        fields = {"algorithm": self.algorithm, "key_id": self.key_id, "private_key": _encode(self.private_key)}
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigurationError(
                f"signing key {os.fspath(path)} exists already",
                remedy="Choose another name: a key that signed something is not to be overwritten.",
            ) from None
        except OSError as error:
            raise ConfigurationError(f"signing key {os.fspath(path)} cannot be written", found=str(error)) from None
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(fields, indent=2) + "\n")

    @property
    def verification_key(self) -> VerificationKey:
        """The key for the serving side."""
        return VerificationKey(self.algorithm, algorithms.public_key_of(self.algorithm, self.private_key))

    @property
    def key_id(self) -> str:
        """Name of the key, the same as its verification key's."""
        return self.verification_key.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature (64 bytes) of `message`."""
        return algorithms.sign(self.algorithm, self.private_key, message)

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm}, key_id={self.key_id})"


def _read_variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"signing key in env:{name} is missing", remedy=f"Set {name} to the text of a signing key's file."
        )
    return value


def _read_private_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAXIMUM_FILE_BYTES)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"signing key {path} cannot be read", found=found, remedy=_KEYGEN) from None
    if mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise ConfigurationError(
            f"signing key {path} is open to others",
            expected="mode 0600",
            found=f"{stat.S_IMODE(mode):04o}",
            remedy=f"Run `chmod 600 {path}`, and consider whether somebody has read it.",
        )
    return data.decode("utf-8", "replace")
