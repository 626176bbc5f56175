from types import SimpleNamespace
from typing import Any, cast

import pytest

from diabetes_risk_model.service.life import Board, Life, Obstacle, WorkerState
from diabetes_risk_model.service.loading import ModelLoading


def life(*, ready: bool = True, reason: str | None = None, retrying: bool = False) -> Life:
    state: Any = SimpleNamespace(ready=ready, reason=reason, retrying=retrying)
    return Life(cast(ModelLoading, state))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (life(), None),
        (life(ready=False), Obstacle(None, None)),
        (life(ready=False, reason="NotFound", retrying=True), Obstacle("NotFound", True)),
        (life(ready=False, reason="RolledBack"), Obstacle("RolledBack", False)),
    ],
)
def test_what_one_process_says(state: Life, expected: Obstacle | None) -> None:
    assert state.obstacle() == expected
    state.drain()
    assert state.obstacle() == Obstacle("Draining", None)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (WorkerState.AWAY, None),
        (WorkerState.LOADING, Obstacle("OtherWorker", True)),
        (WorkerState.READY, None),
    ],
)
def test_a_worker_is_ready_only_while_no_other_takes_connections_without_its_model(
    other: WorkerState, expected: Obstacle | None
) -> None:
    board = Board(3)
    state = life()
    state.join(board, 1)
    state.tell(0)
    board[2] = other
    assert state.obstacle() == expected
    assert board.any_ready()


def test_a_worker_that_says_it_is_ready_has_told_the_others() -> None:
    board = Board(2)
    board[0] = board[1] = WorkerState.LOADING
    worker = life()
    worker.join(board, 0)
    assert worker.obstacle() == Obstacle("OtherWorker", True)
    assert board[0] is WorkerState.READY
    assert board.any_ready()


def test_the_end_is_told_to_all_workers() -> None:
    board = Board(2)
    first, second = life(), life()
    first.join(board, 0)
    second.join(board, 1)
    first.drain()
    assert (first.draining, second.draining) == (True, False)
    board.drain()
    assert second.obstacle() == Obstacle("Draining", None)


def test_nobody_is_ready_at_first() -> None:
    board = Board(2)
    assert not board.any_ready()
    loading = life(ready=False)
    loading.join(board, 0)
    loading.tell(0)
    assert board[0] is WorkerState.LOADING
    assert not board.any_ready()


def test_the_next_connection_is_for_a_worker_that_has_fewer() -> None:
    board = Board(3)
    first, second = life(), life(ready=False)
    first.join(board, 0)
    second.join(board, 1)
    first.tell(2)
    assert not first.gives_way(2), "nobody else takes connections"
    second.tell(1)
    assert first.gives_way(2)
    assert not second.gives_way(1)
    assert not first.gives_way(1)
    board[1] = WorkerState.AWAY
    assert not first.gives_way(2)
