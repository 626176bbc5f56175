"""Signing keys, which stay where models are trained, and verification keys, which serving gets.

With Ed25519 the two differ: who can verify cannot sign. With HMAC-SHA-512 the verification key is the secret itself.
A key's id is derived from the key, so that an envelope can name its signer and a policy can revoke it.
"""

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys import algorithms
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.encryption import MEMBER, Passphrase, decrypt, encrypt
from signed_parameters.keys.files import KEYGEN, read_key, write_key
from signed_parameters.keys.verification_key import VerificationKey, algorithm_named, check_length, decode, encode


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
        check_length(self.algorithm, self.private_key, "signing key")

    @classmethod
    def generate(cls, algorithm: str = Algorithm.ED25519) -> "SigningKey":
        """Make a new key: `algorithm` is "ed25519" or "hmac-sha512".

        Raises:
            ConfigurationError: the algorithm is unknown.
        """
        chosen = algorithm_named(algorithm, "signing key")
        return cls(chosen, algorithms.generate(chosen))

    @classmethod
    def load(cls, source: str | os.PathLike[str], passphrase: Passphrase = None) -> "SigningKey":
        """Read a key from a file that `save` wrote, or with `env:NAME` from an environment variable with its text.

        Args:
            source: `PATH`, `file:PATH` or `env:NAME`.
            passphrase: of an encrypted key; or a function that asks for it, called only where the key is encrypted.

        Raises:
            ConfigurationError: there is no such file or variable, others may read the file, it holds no signing key,
                or its passphrase is missing or wrong.
        """
        read = read_key(source, "signing key")
        read.check_private()
        what = read.origin
        try:
            fields = json.loads(read.text)
        except (ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict) and MEMBER in fields and _are_texts(fields, {"algorithm", "key_id"}):
            private_key = decrypt(fields, passphrase, what)
        elif isinstance(fields, dict) and _are_texts(fields, set(fields)) and set(fields) == _PLAIN:
            private_key = decode(fields["private_key"], what)
        else:
            raise ConfigurationError(
                f"{what} is not usable", expected=f"a JSON object of {', '.join(sorted(_PLAIN))}", remedy=KEYGEN
            )
        key = cls(algorithm_named(fields["algorithm"], what), private_key)
        if key.key_id != fields["key_id"]:
            raise ConfigurationError(
                f"{what} is damaged",
                expected=f"key id {fields['key_id']}",
                found=key.key_id,
                remedy="Take it from your backup, or make and distribute a new one.",
            )
        return key

    def save(self, path: str | os.PathLike[str], passphrase: Passphrase = None) -> None:
        """Write the key to a new file that only its owner may read (mode 0600).

        Args:
            path: place of the file.
            passphrase: encrypts it; None to keep it in clear.

        Raises:
            ConfigurationError: the file exists (a key is never overwritten) or cannot be written, or the passphrase is
                too short.
        """
        fields: dict[str, object]
        if passphrase is None:
            fields = {"algorithm": self.algorithm, "key_id": self.key_id, "private_key": encode(self.private_key)}
        else:
            fields = encrypt(self.private_key, self.algorithm, self.key_id, passphrase)
        write_key(Path(path), json.dumps(fields, indent=2) + "\n")

    @cached_property
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


_PLAIN = {"algorithm", "key_id", "private_key"}


def _are_texts(fields: dict[str, object], names: set[str]) -> bool:
    return all(isinstance(fields.get(name), str) for name in names)
