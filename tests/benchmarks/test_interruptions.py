import os
import signal
import threading
import time

from benchmarks.interruptions import _pauses, measure_interruptions


def test_what_stops_a_loop_is_seen() -> None:
    def stop(number: int, frame: object) -> None:
        time.sleep(0.2)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        pauses = _pauses(0.5)
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert max(pauses) >= 0.2


def test_a_share_is_of_all_processors() -> None:
    found = measure_interruptions(0.2)
    assert 0 <= found.share < 1
    assert found.longest >= 0
