"""Time functions that go through all bodies of the benchmarks of serving."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Message

from benchmarks.services import BODIES

_REPEATS = 7


@dataclass(frozen=True)
class Cost:
    """What a step costs.

    Attributes:
        name: of the step.
        microseconds: for a request.
        note: what is done.
    """

    name: str
    microseconds: float
    note: str


def best(function: Callable[[], object], number: int) -> float:
    """Return the time of a call that runs through all bodies, for one of them, in microseconds: the best of repeats.

    The best, because whatever else the machine does can only make it longer.
    """
    times = []
    for _ in range(_REPEATS):
        started = time.process_time()
        for _ in range(number):
            function()
        times.append(time.process_time() - started)
    return min(times) / number / len(BODIES) * 1e6


def receive_of(body: bytes) -> Callable[[], Any]:
    """Return ASGI's `receive` that has a whole body at hand."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
