"""What a harness is: something to feed with bytes, and what must hold whatever the bytes are.

A `check` returns where all is well. Errors of the package's own tree are part of its work, and it catches them. What
else it raises is a finding: another exception, or `Finding` where a property does not hold.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class Finding(AssertionError):
    """A property does not hold for these bytes."""


@dataclass(frozen=True)
class Harness:
    """A target for fuzzing.

    Attributes:
        modules: names of the modules whose lines are counted as reached or not.
        seeds: makes inputs to begin with, at run time; most of them are good ones.
        check: takes an input, and raises where a property does not hold.
        mutate: makes an input out of another, of at most so many bytes; None where changing bytes is enough.
        maximum: size of an input, in bytes.
    """

    modules: tuple[str, ...]
    seeds: Callable[[], Iterable[bytes]]
    check: Callable[[bytes], None]
    mutate: Callable[[bytes, int, random.Random], bytes] | None = None
    maximum: int = 4096
