"""A child process that does not outlive its parent, and whose output is kept in memory within bounds."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_LONGEST_LINE_BYTES = 8192
_KILL_SECONDS = 10.0


class ChildProcess:
    """A program that runs beside this one until it is stopped, or until this process ends.

    On Linux the kernel kills the program when this process ends for any reason, a SIGKILL included. Elsewhere
    only `stop` ends it. It runs in a session of its own, so that Ctrl-C reaches this process alone, and reads nothing.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        log_lines: int = 1000,
    ) -> None:
        """Describe the program; `start` runs it.

        Args:
            command: program and arguments; no shell reads them.
            environment: the whole environment of the program; nothing is added to it.
            folder: working directory of the program; this process's own if None.
            log_lines: how many of the last lines of its output (standard output and error) are kept.
        """
        self._command = [str(part) for part in command]
        self._environment = dict(environment)
        self._folder = folder
        self._lines: deque[str] = deque(maxlen=log_lines)
        self._changed = threading.Condition()
        self._output_ended = False
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None

    def start(self) -> None:
        """Start the program.

        Raises:
            OSError: the program cannot be run.
            ValueError: it was started before.
        """
        if self._keeper is not None:
            raise ValueError("This process was started before. Make a new ChildProcess to run the program again.")
        launched: Future[subprocess.Popen[bytes]] = Future()
        # The kernel's death signal follows the thread that made the child, not the process. So the thread that
        # makes it is the one that lives as long as the child does.
        self._keeper = threading.Thread(target=self._keep, args=(launched,), name="child-process", daemon=True)
        self._keeper.start()
        self._process = launched.result()

    @property
    def pid(self) -> int:
        """Process id of the program. Raises ValueError before `start`."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit status; minus the signal's number if a signal ended it; None while it runs."""
        return self._started().poll()

    def log(self, lines: int | None = None) -> str:
        """Return the last lines of the output (all that are kept if `lines` is None)."""
        with self._changed:
            kept = list(self._lines)
        return "\n".join(kept if lines is None else kept[-lines:])

    def wait_for_line(self, pattern: str, seconds: float) -> re.Match[str] | None:
        """Wait until a line of the output matches a regular expression.

        Returns:
            The match, or None where the output ended or the time passed without one.
        """
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for line in self._lines:
                    if match := expression.search(line):
                        return match
                left = deadline - time.monotonic()
                if self._output_ended or left <= 0:
                    return None
                self._changed.wait(left)

    def stop(self, seconds: float = 5.0) -> None:
        """Stop the program and wait for its end: SIGTERM, then SIGKILL after so many seconds. May be called again."""
        if self._process is None or self._keeper is None:
            return
        if self.running:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
            # What the program itself had started shares its group and would hold its output open.
            self._signal(signal.SIGKILL)
        self._keeper.join(_KILL_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ValueError("This process was not started. Call start() first.")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # Nobody of the group is left (macOS says "permission" where only a zombie is left).
            return

    def _keep(self, launched: "Future[subprocess.Popen[bytes]]") -> None:
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )
        except BaseException as error:
            launched.set_exception(error)
            return
        launched.set_result(process)
        assert process.stdout is not None
        with process.stdout as output:
            while line := output.readline(_LONGEST_LINE_BYTES):
                self._add(line.decode(errors="replace").rstrip("\r\n"))
        process.wait()
        with self._changed:
            self._output_ended = True
            self._changed.notify_all()

    def _add(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()


class Server(ABC):
    """What runs beside this process from `start` to `stop`, or within a `with` block."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it is alive."""

    @abstractmethod
    def _run(self) -> None:
        """Start it, and return when it answers. It is stopped where that fails."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it and wait for its end. May be called again."""

    def start(self) -> Self:
        """Start it, and return when it answers. What runs already is left as it is."""
        if self.running:
            return self
        try:
            self._run()
        except BaseException:
            self.stop()
            raise
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody has now, for a program that wants to be told one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a new child calls before it becomes the program, so that the kernel ends it with its parent."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # the parent ended before the call above
            os._exit(1)

    return bind
