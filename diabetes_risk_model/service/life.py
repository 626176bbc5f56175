"""Whether the service may be sent requests: its models are loaded, it is not about to end, and its other workers agree.

Workers share a port, so nobody can choose which of them answers. The rule: a worker takes connections only when it has
loaded its models, unless no worker has, when all take connections, to say so. The service is ready while every worker
that takes connections has loaded its models.
"""

import asyncio
import mmap
import time
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from diabetes_risk_model.service.loading import ModelLoading
from diabetes_risk_model.service.notices import Notices

DRAINING = "Draining"
OTHER_WORKER = "OtherWorker"
_BYTES = 4  # of a number on the board
_SHOWING_SECONDS, _POLL_SECONDS = 1.0, 0.01


class WorkerState(IntEnum):
    """What a worker does. AWAY: it takes no connections. LOADING: it does, and has not loaded its models. READY."""

    AWAY = 0
    LOADING = 1
    READY = 2


class Board:
    """What the workers tell each other, in memory that they share: whole numbers, each of one writer at a time.

    Attributes:
        notices: longer texts, on demand.
    """

    def __init__(self, workers: int) -> None:
        """Set up the board, before the workers are forked. At first all are AWAY."""
        self._workers = workers
        self.notices = Notices(workers)
        numbers = memoryview(mmap.mmap(-1, (1 + 2 * workers) * _BYTES)).cast("I")
        self._draining, self._states, self._held = numbers[:1], numbers[1 : workers + 1], numbers[workers + 1 :]

    @property
    def draining(self) -> bool:
        """Whether the service is about to end."""
        return self._draining[0] != 0

    def drain(self) -> None:
        """Tell all that the service is about to end."""
        self._draining[0] = 1

    def __getitem__(self, worker: int) -> WorkerState:
        """Return the state of a worker; they are counted from 0."""
        return WorkerState(self._states[worker])

    def __setitem__(self, worker: int, state: WorkerState) -> None:
        self._states[worker] = state

    def hold(self, worker: int, connections: int) -> None:
        """Tell how many connections a worker has."""
        self._held[worker] = connections

    def holds_more(self, worker: int) -> bool:
        """Return whether a worker has more connections than another that takes some."""
        own = self._held[worker]
        return any(self._held[other] < own for other in self.taking() if other != worker)

    def taking(self) -> list[int]:
        """Return the workers that take connections."""
        return [worker for worker in range(self._workers) if self[worker] is not WorkerState.AWAY]

    def any_ready(self) -> bool:
        """Return whether a worker has loaded its models."""
        return any(self[worker] is WorkerState.READY for worker in range(self._workers))

    def others_ready(self, worker: int) -> bool:
        """Return whether no other worker takes connections without its models."""
        others = (self[other] for other in range(self._workers) if other != worker)
        return WorkerState.LOADING not in others


class Obstacle(NamedTuple):
    """Why the service may not be sent requests.

    Attributes:
        reason: class of an error, DRAINING, or OTHER_WORKER; None while the models are being loaded.
        retrying: whether the service goes on trying; None where that is not known, or makes no sense.
    """

    reason: str | None
    retrying: bool | None


class Life:
    """What this process tells the readiness probe.

    Attributes:
        loading: the models on their way.
        worker: number of this worker, from 0; None where there is one process only.
    """

    def __init__(self, loading: ModelLoading, tell_all: Callable[[], bytes] | None = None) -> None:
        """Begin.

        Args:
            loading: the models on their way.
            tell_all: returns what this worker tells of itself when one of them asks for all; None for nothing.
        """
        self.loading = loading
        self.worker: int | None = None
        self._tell_all = tell_all
        self._board = Board(1)
        self._draining = False

    def join(self, board: Board, worker: int) -> None:
        """Be one of several workers."""
        self._board, self.worker = board, worker

    def tell(self, connections: int) -> None:
        """Tell the other workers that this one takes connections, whether its models are loaded, and what it holds."""
        self._board[self.worker or 0] = WorkerState.READY if self.loading.ready else WorkerState.LOADING
        self._board.hold(self.worker or 0, connections)
        self._show()

    def _show(self) -> None:
        number = self._board.notices.asked(self.worker or 0)
        if number is not None and self._tell_all is not None:
            self._board.notices.show(self.worker or 0, number, self._tell_all())

    async def shown_by_all(self) -> dict[int, bytes]:
        """Return what each worker that takes connections tells of itself.

        A worker that is busy for a second is not waited for: then what it told last is returned.
        """
        notices = self._board.notices
        number, until = notices.ask(), time.monotonic() + _SHOWING_SECONDS
        self._show()
        while any(notices.shown(worker, number) is None for worker in self._board.taking()):
            if time.monotonic() > until:
                break
            await asyncio.sleep(_POLL_SECONDS)
        shown = {worker: notices.shown(worker) for worker in self._board.taking()}
        return {worker: text for worker, text in shown.items() if text is not None}

    def gives_way(self, connections: int) -> bool:
        """Return whether another worker, which has fewer connections, should take the next."""
        self._board.hold(self.worker or 0, connections)
        return self._board.holds_more(self.worker or 0)

    @property
    def draining(self) -> bool:
        """Whether this process is about to end."""
        return self._draining or self._board.draining

    def drain(self) -> None:
        """Say from now on that this process is about to end."""
        self._draining = True

    def obstacle(self) -> Obstacle | None:
        """Return why the service may not be sent requests; None if it may."""
        if self.draining:
            return Obstacle(DRAINING, None)
        if not self.loading.ready:
            failed = self.loading.reason is not None
            return Obstacle(self.loading.reason, self.loading.retrying if failed else None)
        # Who hears from here that this worker is ready may rely on it at once, not only at the next tick.
        self._board[self.worker or 0] = WorkerState.READY
        if not self._board.others_ready(self.worker or 0):
            return Obstacle(OTHER_WORKER, True)
        return None
