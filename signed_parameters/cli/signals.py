"""Ending a command at SIGINT and SIGTERM, with the status that shells know for that: 128 and the signal's number.

The first process of a container does not end at SIGTERM unless it says how. And no Python runs while a library waits
for a server in compiled code; so a thread, which is woken all the same, ends the process where it does not end itself.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_SECONDS = 2.0  # for taking away what is half done
_DONE = b"\0"  # no signal has this number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the block by SystemExit when a signal comes, and the process if that takes too long.

    In another thread than the main one, which gets no signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watching = threading.Thread(target=_watch, args=(reading,), daemon=True)
    handler = signal.signal(signal.SIGTERM, _end)
    other = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watching.start()
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        signal.set_wakeup_fd(other)
        signal.signal(signal.SIGTERM, handler)
        os.write(writing, _DONE)
        watching.join()
        os.close(reading)
        os.close(writing)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _watch(reading: int) -> None:
    while (received := os.read(reading, 1)) != _DONE:
        number = received[0]
        if number in _SIGNALS:
            os.write(2, f"ended by {signal.Signals(number).name}\n".encode())
            if not select.select([reading], [], [], _PATIENCE_SECONDS)[0]:
                os._exit(128 + number)
