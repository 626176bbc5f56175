"""How much time this machine takes away from a busy process: `python -m benchmarks.interruptions`.

On each processor a loop does nothing but read the clock. Where it moves on by a tenth of a millisecond or more from one
reading to the next, something else ran meanwhile: another process, the kernel, or another virtual machine. A share of
one in a hundred is enough to decide the slowest hundredth of a service's answers.
"""

import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

_PAUSE_SECONDS = 1e-4
_SECONDS = 5.0


@dataclass(frozen=True)
class Interruptions:
    """What busy loops saw, the mean of all processors.

    Attributes:
        share: of the time that was taken, between 0 and 1.
        longest: pause, in milliseconds.
    """

    share: float
    longest: float


def measure_interruptions(seconds: float = _SECONDS) -> Interruptions:
    """Keep every processor busy for some seconds, and return what was taken from the loops."""
    number = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(number, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.5] * number))  # so that all have started
        loops = [future.result() for future in [pool.submit(_pauses, seconds) for _ in range(number)]]
    return interruptions(loops)


def interruptions(loops: Sequence[tuple[float, list[float]]]) -> Interruptions:
    """Sum up what loops saw.

    Args:
        loops: for each how long it ran, and the lengths of its pauses, in seconds.
    """
    ran = sum(length for length, _ in loops)
    return Interruptions(
        share=sum(sum(pauses) for _, pauses in loops) / ran,
        longest=1e3 * max((pause for _, pauses in loops for pause in pauses), default=0.0),
    )


def _pauses(seconds: float) -> tuple[float, list[float]]:
    """Return how long the loop ran, which a pause at its end makes longer, and its pauses, in seconds."""
    pauses: list[float] = []
    clock = time.perf_counter
    gc.disable()
    try:
        start = before = clock()
        end = start + seconds
        while before < end:
            now = clock()
            if now - before >= _PAUSE_SECONDS:
                pauses.append(now - before)
            before = now
    finally:
        gc.enable()
    return before - start, pauses


def main() -> int:
    """Measure and print."""
    found = measure_interruptions()
    print(f"Taken from a busy loop: {found.share:.2%} of the time, at most {found.longest:.1f} ms at once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
