"""Processes of this machine that score. They speak to the one that started them, through pipes, and to nobody else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from diabetes_risk_model.scoring.workers import Given, Result
from signed_parameters import Unavailable

_RESTARTS = 3
# The allocator's own setting gives memory back with each batch, only to ask for it again with the next: that takes a
# third of the processor time. What a process holds of arrays stays small: see `--partition-rows`.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": 256 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), 1)


@contextmanager
def processes_of_this_machine(number: int | None = None) -> Iterator[Processes]:
    """Start processes, and stop them in the end.

    Args:
        number: how many; by default as many as this process may use processors.
    """
    with _environment(MEMORY | _ONE_THREAD):
        processes = Processes(number or _processors())
        try:
            yield processes
        finally:
            processes.close()


class Processes:
    """The `Workers` of this machine.

    Args:
        number: how many.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not forked: what runs in this process, such as the progress bar's thread, is no part of them.
        return ProcessPoolExecutor(self._number, multiprocessing.get_context("spawn"), initializer=_begin)

    def each(self, function: Callable[[Given], Result], given: Sequence[Given]) -> Iterator[tuple[int, Result]]:
        """Call a function with each thing that is given, see `Workers`."""
        waiting = dict(enumerate(given))
        for _ in range(1 + _RESTARTS):
            try:
                futures = {self._pool.submit(function, each): place for place, each in waiting.items()}
                for future in as_completed(futures):
                    result = future.result()
                    del waiting[futures[future]]
                    yield futures[future], result
                return
            except BrokenProcessPool:  # one of them was killed: the pool ends the others
                self.close()
                self._pool = self._new_pool()
        raise Unavailable(
            "the workers ended again and again",
            found=f"{1 + _RESTARTS} times, with {len(waiting):,} partitions not done",
            remedy="They may need more memory, or smaller partitions (--partition-rows). What is done stays.",
        )

    def close(self) -> None:
        """Stop them when they have done what they are at."""
        self._pool.shutdown(cancel_futures=True)


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _begin() -> None:
    """Make a process end with the one that started it, however that ends; without a word when the user ends both."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


@contextmanager
def _environment(settings: dict[str, int]) -> Iterator[None]:
    """Set variables that processes find when they start, where they are not set already."""
    new = {name: str(value) for name, value in settings.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
