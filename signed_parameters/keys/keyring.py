"""Trusted keys with the time in which they count, and the keyring that holds them.

A key counts from `not_before` until `not_after`, by the clock of whoever verifies: what a stolen key writes into a
statement moves neither. A retired key signs no more, and its signatures count until its time is over. A revoked key's
signatures count no more from the moment that it is revoked. Nothing leads back: not to active, not to a later time.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from signed_parameters.errors import ConfigurationError
from signed_parameters.keys.references import KeyReference
from signed_parameters.keys.signing_key import SigningKey
from signed_parameters.keys.verification_key import VerificationKey
from signed_parameters.times import format_time

_MAXIMUM_COMMENT = 200
_ROTATE = "Make a new key with `signed-parameters rotate`."


class KeyStatus(StrEnum):
    """Where a key is in its life."""

    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class TrustedKey:
    """A verification key, and when its signatures count.

    Attributes:
        key: checks the signatures; for an HMAC it may be a reference to the secret.
        not_before: from when on they count; None for always.
        not_after: from when on they count no more; None for never.
        status: "active", "retired" (counts, but is not to sign any more), or "revoked" (counts no more).
        comment: whose key it is, for the reader: one line of at most 200 characters.

    Raises:
        ConfigurationError: a value is not usable.
    """

    key: VerificationKey | KeyReference
    not_before: datetime | None = None
    not_after: datetime | None = None
    status: KeyStatus = KeyStatus.ACTIVE
    comment: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.key, VerificationKey | KeyReference):
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
        if not isinstance(self.comment, str) or len(self.comment) > _MAXIMUM_COMMENT or not self.comment.isprintable():
            raise ConfigurationError(
                f"the comment of key {self.key.key_id} is not usable",
                expected=f"one line of at most {_MAXIMUM_COMMENT} characters",
            )

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

    A keyring is never changed: `with_key`, `retired` and `revoked` return a new one. Keys are not taken out, because
    the entry of a revoked key is what keeps it from being trusted again.

    Raises:
        ConfigurationError: a key is in it twice.
    """

    keys: tuple[TrustedKey, ...] = ()

    def __post_init__(self) -> None:
        ids = [key.key_id for key in self.keys]
        if len(set(ids)) != len(ids):
            twice = next(key_id for key_id in ids if ids.count(key_id) > 1)
            raise ConfigurationError("the keyring is not usable", expected="each key once", found=f"{twice} twice")

    def __iter__(self) -> Iterator[TrustedKey]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, secrets: bool = True) -> "Keyring":
        """Read a keyring file.

        Args:
            path: the file, which is public.
            secrets: look up the HMAC secrets that it refers to, but for keys that count no more. Without them the
                keyring can be changed and saved, and verifies Ed25519 signatures only.

        Raises:
            ConfigurationError: it cannot be read, is no keyring, or a secret is not where it says.
        """
        from signed_parameters.keys.keyring_file import read_keyring

        return read_keyring(path, secrets=secrets)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the keyring, whole or not at all. It may replace a file that it follows from, and no other.

        Raises:
            ConfigurationError: it cannot be written, holds an HMAC secret in clear, or would undo what the file says:
                somebody else changed it since it was read.
        """
        from signed_parameters.keys.keyring_file import write_keyring

        write_keyring(self, path)

    def find(self, key_id: str) -> TrustedKey:
        """Return the key of an id.

        Raises:
            ConfigurationError: there is none.
        """
        for key in self.keys:
            if key.key_id == key_id:
                return key
        raise ConfigurationError(
            f"key {key_id} is not in the keyring",
            expected=" or ".join(key.key_id for key in self.keys[:8]) or "a key, and it has none",
            remedy="Look at it with `signed-parameters keys`.",
        )

    def with_key(
        self,
        key: VerificationKey | KeyReference,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        comment: str = "",
    ) -> "Keyring":
        """Return the keyring with one more key, which is active.

        Raises:
            ConfigurationError: it is in the keyring already, or a value is not usable.
        """
        for present in self.keys:
            if present.key_id == key.key_id:
                raise ConfigurationError(
                    f"key {key.key_id} is in the keyring already, and is {present.status}",
                    remedy=_ROTATE if present.status is not KeyStatus.ACTIVE else "",
                )
        return Keyring((*self.keys, TrustedKey(key, not_before, not_after, comment=comment)))

    def retired(self, key_id: str, not_after: datetime) -> "Keyring":
        """Return the keyring with a key that signs no more, and counts until `not_after`.

        An active key that counts until an earlier time already keeps that.

        Raises:
            ConfigurationError: there is no such key, it is revoked, or it is retired with an earlier time.
        """
        key = self.find(key_id)
        if key.status is KeyStatus.REVOKED:
            raise ConfigurationError(
                f"key {key_id} is revoked", expected="an active key", remedy=f"It stays revoked. {_ROTATE}"
            )
        if key.not_after is not None and key.not_after < not_after:
            if key.status is KeyStatus.RETIRED:
                raise ConfigurationError(
                    f"key {key_id} is retired already, and its time is not prolonged",
                    expected=f"{format_time(key.not_after)} or earlier",
                    found=format_time(not_after),
                    remedy="Sign what has to live longer with another key: `signed-parameters resign`.",
                )
            not_after = key.not_after
        return self._with(replace(key, not_after=not_after, status=KeyStatus.RETIRED))

    def revoked(self, key_id: str) -> "Keyring":
        """Return the keyring with a key whose signatures count no more, for ever.

        Raises:
            ConfigurationError: there is no such key.
        """
        return self._with(replace(self.find(key_id), status=KeyStatus.REVOKED))

    def check_can_sign(self, signing_key: SigningKey, now: datetime) -> None:
        """Refuse a key whose signature would not count, or that is not to sign any more.

        Raises:
            ConfigurationError: the keyring does not have it, calls it retired or revoked, or it does not count now.
        """
        key = self.find(signing_key.key_id)
        if key.status is not KeyStatus.ACTIVE:
            raise ConfigurationError(
                f"key {key.key_id} is {key.status}, and is not to sign any more",
                expected=f"an active key: {self._active_ids()}",
                remedy=f"Sign with that. {_ROTATE}",
            )
        if not key.counts_at(now):
            since = f" from {format_time(key.not_before)}" if key.not_before else ""
            until = f" until {format_time(key.not_after)}" if key.not_after else ""
            raise ConfigurationError(
                f"signatures by key {key.key_id} do not count now",
                expected=f"a time{since}{until}",
                found=format_time(now),
                remedy="Sign with a key that counts now, or the package will be refused.",
            )

    def _active_ids(self) -> str:
        return " or ".join(key.key_id for key in self.keys if key.status is KeyStatus.ACTIVE) or "there is none"

    def _with(self, changed: TrustedKey) -> "Keyring":
        return Keyring(tuple(changed if key.key_id == changed.key_id else key for key in self.keys))
