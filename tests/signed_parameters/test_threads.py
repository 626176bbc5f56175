import itertools
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from signed_parameters.threads import map_in_threads


def test_results_come_in_order() -> None:
    assert list(map_in_threads(lambda number: number * 2, range(100), threads=4)) == list(range(0, 200, 2))
    assert list(map_in_threads(str, [])) == []


def test_items_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=30)
    assert len(list(map_in_threads(lambda _: together.wait(), range(8), threads=4))) == 8


def test_items_may_be_endless() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in itertools.count(1):
            taken.append(number)
            yield number

    with closing(map_in_threads(str, items(), threads=2)) as results:
        assert list(itertools.islice(results, 3)) == ["1", "2", "3"]
    assert len(taken) < 20


def test_an_error_stops_the_rest() -> None:
    done = []

    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        done.append(number)
        return number

    with pytest.raises(KeyError):
        list(map_in_threads(work, range(1000), threads=2))
    assert len(done) < 20


def test_what_was_begun_is_finished() -> None:
    begun, finished, go_on = [], [], threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number:
            go_on.wait(30)
        finished.append(number)

    results = map_in_threads(work, range(100), threads=4)
    next(results)
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert sorted(finished) == sorted(begun)
    assert len(begun) < 20
