"""Doing many small things at once, where each waits for a storage."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 16


def map_in_threads(
    function: Callable[[T], R], items: Iterable[T], *, threads: int = _THREADS
) -> Generator[R, None, None]:
    """Yield the results for items, in their order, of which some are worked on at a time.

    No more items are taken than that needs, so they may be endless. After an error, or where the caller stops, what was
    begun is finished and nothing more is begun.

    Raises:
        Exception: whatever the function raised for the item whose turn it is.
    """
    executor = ThreadPoolExecutor(threads)
    running: deque[Future[R]] = deque()
    try:
        for item in items:
            running.append(executor.submit(function, item))
            if len(running) == 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
