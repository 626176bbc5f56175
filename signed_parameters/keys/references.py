"""References to HMAC secrets, so that files with trusted keys stay public."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.verification_key import VerificationKey

_KEY_ID = re.compile(r"[0-9a-f]{32}")
_SCHEMES = ("env:", "file:")


@dataclass(frozen=True)
class KeyReference:
    """Where the secret of an HMAC key is. It stands in a keyring in the place of the key.

    Attributes:
        source: `env:NAME` or `file:PATH`, which hold the verification key's text.
        key_id: the key's id, which the secret has to have.
        secret: the key, once it was looked up; None before.

    Raises:
        ConfigurationError: it is no reference, or the key has another id.
    """

    source: str
    key_id: str
    secret: VerificationKey | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source.startswith(_SCHEMES) or self.source in _SCHEMES:
            raise ConfigurationError(
                "the place of an HMAC secret is not usable",
                expected="env:NAME or file:PATH, and never the secret itself",
                remedy="Keep the secret in a file or variable of its own, and name that.",
            )
        if not isinstance(self.key_id, str) or not _KEY_ID.fullmatch(self.key_id):
            raise ConfigurationError(
                f"the key id of {self.source} is not usable", expected="32 hexadecimal digits", found=repr(self.key_id)
            )
        if self.secret is not None and (self.secret.algorithm, self.secret.key_id) != (self.algorithm, self.key_id):
            raise ConfigurationError(
                f"{self.source} holds another key",
                expected=f"the {self.algorithm} key {self.key_id}",
                found=f"{self.secret.algorithm} key {self.secret.key_id}",
                remedy="Put the right secret there, or add the new key under its own id.",
            )

    @property
    def algorithm(self) -> Algorithm:
        """Always HMAC-SHA-512: other keys are public and need no reference."""
        return Algorithm.HMAC_SHA512

    def looked_up(self, folder: Path | None = None) -> "KeyReference":
        """Return this reference with its secret; a relative path starts from `folder`.

        Raises:
            ConfigurationError: the secret is not there, or is another key.
        """
        return replace(self, secret=VerificationKey.load(self.source, folder=folder))

    def signature_holds(self, message: bytes, signature: bytes) -> bool:
        """Tell whether `signature` is this key's signature of `message`.

        Raises:
            ConfigurationError: the secret was not looked up.
        """
        if self.secret is None:
            raise ConfigurationError(
                f"the secret of key {self.key_id} was not looked up",
                expected=f"it in {self.source}",
                remedy="Read the keyring with its secrets.",
            )
        return self.secret.signature_holds(message, signature)
