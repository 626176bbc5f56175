"""Measure what authentication costs: `python -m benchmarks.authentication`.

It prints the time of the guard for a token that it sees for the first time, and for one that it remembers, and the time
to check a password. Nothing here has to be reached.
"""

import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diabetes_risk_model.service.authentication.guard import Guard
from diabetes_risk_model.service.authentication.passwords import hash_password, verify_password
from diabetes_risk_model.service.authentication.settings import AuthenticationSettings
from diabetes_risk_model.service.authentication.tokens import Tokens
from diabetes_risk_model.service.authentication.users import change_users
from diabetes_risk_model.service.authentication.watching import WatchedUsers

_VARIABLE = "BENCHMARK_TOKEN_SECRET"
_ROUNDS = 5

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Costs:
    """Median times of five rounds.

    Attributes:
        first: for the guard to verify a token, in seconds.
        again: the same, for a token that it remembers.
        password: to check a password.
    """

    first: float
    again: float
    password: float


def measure(tokens: int = 2_000) -> Costs:
    """Measure, with so many users who have a token each."""
    os.environ.setdefault(_VARIABLE, secrets.token_urlsafe(32))
    password = secrets.token_urlsafe(16)
    encoded = hash_password(password)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.json"
        change_users(path, lambda hashes: hashes.update({f"user{number}": encoded for number in range(tokens)}))
        issuing = Tokens(AuthenticationSettings(users_file=str(path), signing_secrets=(f"${{{_VARIABLE}}}",)))
        users = WatchedUsers(path)
        known = users.current()
        headers = [
            [(b"authorization", f"Bearer {issuing.issue(name, known.credential(name) or '')}".encode())]
            for name in known.hashes
        ]
        first, again = [], []
        for _ in range(_ROUNDS):
            guard = Guard(issuing, users, "benchmark")
            first.append(_time(partial(_check, guard, headers)) / tokens)
            again.append(_time(partial(_check, guard, headers[-1:] * tokens)) / tokens)
    checks = [_time(partial(verify_password, encoded, password)) for _ in range(_ROUNDS)]
    return Costs(*(statistics.median(times) for times in (first, again, checks)))


def _check(guard: Guard, requests: Sequence[Headers]) -> None:
    for headers in requests:
        guard.check(headers)


def _time(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    """Print what it costs."""
    costs = measure()
    print(f"a token, for the first time    {costs.first * 1e6:8.1f} microseconds")
    print(f"the same token again           {costs.again * 1e6:8.1f} microseconds")
    print(f"a password                     {costs.password * 1e3:8.1f} milliseconds")


if __name__ == "__main__":
    main()
