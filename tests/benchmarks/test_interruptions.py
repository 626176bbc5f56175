import signal
import time

from benchmarks.interruptions import Interruptions, _pauses, interruptions, measure_interruptions


def test_what_stops_a_loop_is_seen_and_counts_as_its_time_even_past_its_end() -> None:
    before = signal.signal(signal.SIGALRM, lambda number, frame: time.sleep(0.3))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        length, pauses = _pauses(0.2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert max(pauses) > 0.2
    assert sum(pauses) <= length


def test_a_share_is_of_all_processors() -> None:
    assert interruptions([(1.0, [0.125, 0.25]), (3.0, [])]) == Interruptions(0.09375, 250)
    assert interruptions([(1.0, [])]) == Interruptions(0, 0)
    found = measure_interruptions(0.2)
    assert 0 <= found.share <= 1
    assert found.longest >= 0
