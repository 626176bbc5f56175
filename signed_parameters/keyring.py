"""Trusted keys with the time in which they count, and the keyring that holds them.

A key counts from `not_before` until `not_after`, by the clock of whoever verifies: what a stolen key writes into a
statement moves neither. A retired key signs no more, and its signatures count until its time is over. A revoked key's
signatures count no more from the moment that it is revoked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys import VerificationKey


class KeyStatus(StrEnum):
    """Where a key is in its life."""

    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class TrustedKey:
    """A verification key, and when its signatures count.

    Attributes:
        key: checks the signatures.
        not_before: from when on they count; None for always.
        not_after: from when on they count no more; None for never.
        status: "active", "retired" (counts, but is not to sign any more), or "revoked" (counts no more).

    Raises:
        ConfigurationError: a value is not usable.
    """

    key: VerificationKey
    not_before: datetime | None = None
    not_after: datetime | None = None
    status: KeyStatus = KeyStatus.ACTIVE

    def __post_init__(self) -> None:
        if not isinstance(self.key, VerificationKey):
            raise ConfigurationError(
                "a trusted key is not usable",
                expected="a VerificationKey",
                found=type(self.key).__name__,
                remedy="Read it with VerificationKey.parse.",
            )
        for name in ("not_before", "not_after"):
            time = getattr(self, name)
            if time is not None and (not isinstance(time, datetime) or time.tzinfo is None):
                raise ConfigurationError(
                    f"{name} of key {self.key.key_id} is not usable",
                    expected="a time with a time zone",
                    found=str(time),
                )
        if self.not_before and self.not_after and self.not_after < self.not_before:
            raise ConfigurationError(
                f"key {self.key.key_id} would count until before it begins to",
                expected="not_after later than not_before",
            )
        try:
            object.__setattr__(self, "status", KeyStatus(self.status))
        except ValueError:
            raise ConfigurationError(
                f"the status of key {self.key.key_id} is unknown",
                expected=" or ".join(KeyStatus),
                found=repr(self.status),
            ) from None

    @property
    def key_id(self) -> str:
        """Name of the key."""
        return self.key.key_id

    def counts_at(self, now: datetime) -> bool:
        """Tell whether signatures count at a time, leaving revocation aside."""
        return (self.not_before is None or now >= self.not_before) and (self.not_after is None or now < self.not_after)


@dataclass(frozen=True)
class Keyring:
    """The keys that are trusted, each once. It goes wherever a policy's `keys` go.

    Raises:
        ConfigurationError: a key is in it twice.
    """

    keys: tuple[TrustedKey, ...] = ()

    def __post_init__(self) -> None:
        ids = [key.key_id for key in self.keys]
        if twice := next((key_id for key_id in ids if ids.count(key_id) > 1), None):
            raise ConfigurationError("the keyring is not usable", expected="each key once", found=f"{twice} twice")

    def __iter__(self) -> Iterator[TrustedKey]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)
