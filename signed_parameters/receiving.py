"""Receiving a download: what has come is hashed and stored by a thread while more comes, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle

from signed_parameters.digests import Hasher
from signed_parameters.reading import BUFFERS, new_buffers


def receive(chunks: Iterable[bytes], maximum: int, hasher: Hasher, store: Callable[[memoryview], object]) -> int:
    """Hash and store a download, and return how many bytes came.

    A server may send its bytes in thousands of small pieces. They are put together first, as each call has its price.

    Args:
        chunks: the download, in order.
        maximum: how many bytes may come. No chunk is taken after the one that goes beyond, and nothing of that is kept.
        hasher: gets every byte.
        store: is called with the bytes, part by part; they are no longer there when it has returned.

    Raises:
        Exception: what `chunks` or `store` raises.
    """

    def take(part: memoryview) -> None:
        hasher.update(part)
        store(part)

    buffers = cycle(new_buffers(BUFFERS, maximum))
    buffer, filled, received = next(buffers), 0, 0
    taking: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1) as worker:
        for chunk in chunks:
            received += len(chunk)
            if received > maximum:
                return received
            rest = memoryview(chunk)
            while rest:
                if filled == len(buffer):
                    taking.append(worker.submit(take, buffer))
                    if len(taking) == BUFFERS:
                        taking.popleft().result()
                    buffer, filled = next(buffers), 0
                count = min(len(rest), len(buffer) - filled)
                buffer[filled : filled + count] = rest[:count]
                filled, rest = filled + count, rest[count:]
        for one in taking:
            one.result()
    take(buffer[:filled])
    return received
