"""Several worker processes that share a port.

This process opens the port and imports what is needed, once, and forks the workers, which share those pages of memory.
Each has an event loop and models of its own, which it fetches and verifies itself. This process answers nothing. It
starts a worker again that died, and passes on the signal to end.
"""

import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from diabetes_risk_model.service.life import Board, WorkerState

NOT_USABLE = 2
"""Exit status of a worker that would fail again."""

_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.1, 30.0, 60.0  # seconds
_LATE_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

_logger = logging.getLogger(__name__)


@dataclass
class _Worker:
    pid: int | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0


class Workers:
    """The workers of a service, and the process that keeps them."""

    def __init__(self, number: int, serve: Callable[[Board, int, bool], int], end_seconds: float) -> None:
        """Describe the workers; `run` runs them.

        Args:
            number: how many.
            serve: is run in each: it gets the board, the worker's number, and whether the worker shall load its models
                before it takes connections. Returns the exit status.
            end_seconds: how long they may take to end.
        """
        self._serve = serve
        self._end_seconds = end_seconds
        self._board = Board(number)
        self._workers = [_Worker() for _ in range(number)]
        self._status = 0
        self._ends: float | None = None

    def run(self) -> int:
        """Run the workers until a signal ends them, or one of them would fail for ever. Return the exit status."""
        gc.collect()
        gc.freeze()  # the collector's marks would copy every page
        with _signals() as arrived:
            for number in range(len(self._workers)):
                self._start(number, loads_first=False)
            while any(worker.pid is not None for worker in self._workers) or self._ends is None:
                for received in arrived(self._next_due()):
                    if received == signal.SIGCHLD:
                        self._collect()
                    else:
                        self._end(signal.Signals(received))
                self._keep()
        return self._status

    def _start(self, number: int, *, loads_first: bool) -> None:
        worker = self._workers[number]
        self._board[number] = WorkerState.AWAY if loads_first else WorkerState.LOADING
        worker.started = time.monotonic()
        # A signal in between would go to a handler that is the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            _become_worker(lambda: self._serve(self._board, number, loads_first))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        worker.pid = pid
        _logger.info("Started worker %d, process %d.", number, pid)

    def _collect(self) -> None:
        """Take note of the workers that ended."""
        for number, worker in enumerate(self._workers):
            if worker.pid is None:
                continue
            pid, waited = os.waitpid(worker.pid, os.WNOHANG)
            if pid == 0:
                continue
            self._board[number] = WorkerState.AWAY
            worker.pid = None
            status = os.waitstatus_to_exitcode(waited)
            if self._ends is not None:
                self._status = self._status or int(status != 0)
                continue
            if status == NOT_USABLE:
                self._status = NOT_USABLE
                self._end(signal.SIGINT)
                continue
            lived = time.monotonic() - worker.started
            worker.pause = _FIRST_PAUSE if lived > _STEADY else min(2 * worker.pause, _LONGEST_PAUSE)
            worker.due = time.monotonic() + worker.pause
            _logger.error("Worker %d ended with status %d. Starting it again in %g s.", number, status, worker.pause)

    def _keep(self) -> None:
        """Start workers again that are due; kill those that do not end."""
        now = time.monotonic()
        for number, worker in enumerate(self._workers):
            if self._ends is None and worker.pid is None and now >= worker.due:
                self._start(number, loads_first=self._board.any_ready())
            elif self._ends is not None and worker.pid is not None and now >= self._ends:
                _logger.error("Worker %d did not end in time. It is killed.", number)
                os.kill(worker.pid, signal.SIGKILL)

    def _next_due(self) -> float | None:
        """Return in how many seconds something is due; None if nothing is."""
        if self._ends is not None:
            return max(0.05, self._ends - time.monotonic())
        due = [worker.due for worker in self._workers if worker.pid is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _end(self, received: signal.Signals) -> None:
        """Pass the signal on to the workers. The second one ends them at once."""
        self._board.drain()
        now = time.monotonic()
        if self._ends is None:
            _logger.info("Ending the workers.")
            self._ends = now + self._end_seconds + _LATE_SECONDS
        else:
            self._ends = min(self._ends, now + _LATE_SECONDS)
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, received)


def _become_worker(serve: Callable[[], int]) -> None:
    """Run a worker in the process that was just forked, and end it."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        # Signals to the group, as those of a terminal, come from the parent only.
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for received in (signal.SIGTERM, signal.SIGINT):
            signal.signal(received, lambda *_: os._exit(0))  # until the server takes over
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        status = serve()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        _logger.exception("A worker failed.")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # what the parent registered for its own end does not run here


@contextmanager
def _signals() -> Iterator[Callable[[float | None], list[int]]]:
    """Collect signals. What is yielded waits, at most so many seconds, and returns those that arrived."""
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        handlers = {received: signal.signal(received, lambda *_: None) for received in _SIGNALS}
        descriptor = signal.set_wakeup_fd(writing.fileno())

        def arrived(seconds: float | None) -> list[int]:
            ready, _, _ = select.select([reading], [], [], seconds)
            return list(reading.recv(4096)) if ready else []

        try:
            yield arrived
        finally:
            signal.set_wakeup_fd(descriptor)
            for received, handler in handlers.items():
                signal.signal(received, handler)
