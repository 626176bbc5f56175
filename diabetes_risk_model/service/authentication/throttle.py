"""Slows down guessing, per user and per address, in bounded memory, and locks nobody out for good.

Each key may try some times at once, and once more every so many seconds, whether others try in vain or not. An address
from which a user came in before has tries of its own for that user, so strangers cannot use them up.
"""

import ipaddress
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from diabetes_risk_model.service.authentication.settings import GuessingLimits

MOST_KEYS = 10_000
UNKNOWN_NETWORK = "an unknown address"
_IPV6_NETWORK_BITS = 64


class TooManyAttempts(Exception):
    """Another try is not due yet.

    Attributes:
        seconds: when it is.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Attempts:
    """How often keys may try: for each, one number says when all of its tries will be back."""

    def __init__(self, at_once: int, seconds: float, clock: Callable[[], float], most: int = MOST_KEYS) -> None:
        """Describe the limits.

        Args:
            at_once: so many tries without a pause.
            seconds: until there is one more.
            clock: gives the time in seconds.
            most: so many keys are remembered. Beyond that the one that tried longest ago is forgotten.
        """
        self._ahead = (at_once - 1) * seconds
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, key: Hashable) -> float:
        """Return the seconds until a key may try; 0.0 if it may at once."""
        return max(0.0, self._full_at.get(key, 0.0) - self._clock() - self._ahead)

    def take(self, key: Hashable) -> None:
        """Take a try."""
        now = self._clock()
        full_at = max(self._full_at.pop(key, now), now) + self._seconds
        self._full_at[key] = full_at  # the last one now, as those before it tried longer ago
        while self._oldest_is_over(now) or len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]

    def give_back(self, key: Hashable) -> None:
        """Give a try back."""
        if key in self._full_at:
            self._full_at[key] -= self._seconds

    def _oldest_is_over(self, now: float) -> bool:
        return next(iter(self._full_at.values()), now + 1) <= now


@dataclass(frozen=True)
class Attempt:
    """A try that was taken.

    Attributes:
        user: whose password is tried; None where no user can have the name.
        network: where from.
        taken: the limits and keys that it counts for.
    """

    user: str | None
    network: str
    taken: tuple[tuple[Attempts, Hashable], ...]


class Throttle:
    """Decides whether a password may be tried now."""

    def __init__(self, limits: GuessingLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """Describe the limits, and the clock that gives the time in seconds."""
        self._users = Attempts(limits.user_attempts, limits.user_seconds, clock)
        self._pairs = Attempts(limits.user_attempts, limits.user_seconds, clock)
        self._networks = Attempts(limits.address_attempts, limits.address_seconds, clock)
        self._known: dict[tuple[str, str], None] = {}

    def begin(self, user: str | None, network: str) -> Attempt:
        """Take a try before the password is checked, so that many at once are counted too.

        Args:
            user: whose password it is; None where no user can have the name.
            network: where it comes from, as `network_of` returns it.

        Raises:
            TooManyAttempts: it is not due yet. Then it does not count, so impatience costs nobody anything.
        """
        taken: list[tuple[Attempts, Hashable]] = [(self._networks, network)]
        if user is not None:
            pair = user, network
            taken.append((self._pairs, pair) if pair in self._known else (self._users, user))
        if seconds := max(attempts.wait(key) for attempts, key in taken):
            raise TooManyAttempts(seconds)
        for attempts, key in taken:
            attempts.take(key)
        return Attempt(user, network, tuple(taken))

    def succeed(self, attempt: Attempt) -> None:
        """Note that the password was right: it was no guess, and the user is known where it came from."""
        self.cancel(attempt)
        if attempt.user is not None:
            pair = attempt.user, attempt.network
            self._known.pop(pair, None)
            self._known[pair] = None
            if len(self._known) > MOST_KEYS:
                del self._known[next(iter(self._known))]

    def cancel(self, attempt: Attempt) -> None:
        """Note that nothing was learned: the password was right, or not checked."""
        for attempts, key in attempt.taken:
            attempts.give_back(key)


def network_of(address: str) -> str:
    """Return what counts as one address: for IPv6 the network of 64 bits that a single host can have.

    What is no address counts as one: behind a proxy it can be any text that the client made up.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return UNKNOWN_NETWORK
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
