"""Passwords: hashed with Argon2id at one cost, and checked a few at a time in threads.

Each check costs the same, also for a user whom there is not, so time does not tell who is a user. One hash takes 64 MiB
and some tens of milliseconds, so how many are made at once, and how many wait, is bounded.
"""

import asyncio
import base64
import re
import secrets
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from signed_parameters import ConfigurationError

MINIMUM_CHARACTERS = 12
_MAXIMUM_CHARACTERS = 256
_PARAMETERS = "$argon2id$v=19$m=65536,t=3,p=4$"  # the second choice of RFC 9106: 64 MiB, three passes, four lanes
_MEMORY_KIBIBYTES, _PASSES, _LANES = 65_536, 3, 4
_SALT_BYTES, _HASH_BYTES = 16, 32
_HASH = re.compile(re.escape(_PARAMETERS) + r"[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}")
_WAITING = 16


class Busy(Exception):
    """As many passwords are waiting to be checked as may, or there is no memory for a hash."""


def hash_password(password: str) -> str:
    """Return the hash of a new password, with its salt and what it costs, as the users file holds it.

    Raises:
        ConfigurationError: the password is too short or too long.
    """
    if not MINIMUM_CHARACTERS <= len(password) <= _MAXIMUM_CHARACTERS:
        raise ConfigurationError(
            "the password is not usable",
            expected=f"{MINIMUM_CHARACTERS} to {_MAXIMUM_CHARACTERS} characters",
            found=f"{len(password)}",
            remedy="Take several words.",
        )
    from argon2.low_level import Type, hash_secret

    return hash_secret(
        _bytes(password),
        secrets.token_bytes(_SALT_BYTES),
        time_cost=_PASSES,
        memory_cost=_MEMORY_KIBIBYTES,
        parallelism=_LANES,
        hash_len=_HASH_BYTES,
        type=Type.ID,
    ).decode()


def is_hash(text: object) -> bool:
    """Return whether something is a hash as `hash_password` makes it, of the same cost."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def verify_password(encoded: str, password: str) -> bool:
    """Return whether a hash is that of a password.

    Raises:
        Busy: there is no memory for it.
    """
    from argon2.exceptions import VerificationError, VerifyMismatchError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(encoded.encode(), _bytes(password), Type.ID)
    except VerifyMismatchError:
        return False
    except VerificationError:
        raise Busy from None


class PasswordChecker:
    """Checks passwords in threads of its own, so that the event loop goes on."""

    def __init__(self, at_once: int) -> None:
        """Make a checker of so many passwords at a time."""
        self._executor = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="passwords")
        self._places = threading.BoundedSemaphore(at_once + _WAITING)
        # Nobody's hash: that of no password, and as costly to check as others.
        self._nobodys = f"{_PARAMETERS}{_random_base64(_SALT_BYTES)}${_random_base64(_HASH_BYTES)}"

    async def check(self, encoded: str | None, password: str) -> bool:
        """Return whether a password is right. Without a hash it is wrong, after the same time.

        Raises:
            Busy: too many are waiting, or there is no memory for it.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        future = self._executor.submit(verify_password, encoded or self._nobodys, password)
        # When the hash was made, and not when the client went, there is room for another.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future) and encoded is not None


def _bytes(password: str) -> bytes:
    # One form, because keyboards differ in how they send an accented letter.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _random_base64(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
