"""What scores partitions: processes of this machine, or the workers of a Dask scheduler."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


class Workers(Protocol):
    """Calls functions elsewhere. A worker that ends in the middle changes nothing: another does its work again."""

    def each(self, function: Callable[[Given], Result], given: Sequence[Given]) -> Iterator[tuple[int, Result]]:
        """Call a function with each thing that is given.

        Args:
            function: that changes nothing when it is called twice.
            given: what it is called with.

        Yields:
            The place of each among what is given, and what the function returned: in the order in which they are done.

        Raises:
            Unavailable: the workers end again and again, or cannot be reached any more.
            Exception: what the function raises. What has not begun by then is not done.
        """
