"""A peer's server in a process of its own."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import LoadError
from benchmarks.peers.servers import Peer, environment_for, free_port
from signed_parameters.child_process import ChildProcess

_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 5.0
_READY_SECONDS = 120.0
_LOG_LINES = 30


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        url: address of its predictions.
        pid: of the process that was started.
        ready: time from that start to the first good answer, in seconds.
    """

    url: str
    pid: int
    ready: float


@contextmanager
def run(peer: Peer, environment: Path, model: Path, folder: Path) -> Iterator[Running]:
    """Start a peer's server, and stop it at the end.

    Raises:
        LoadError: it does not become ready. The message holds the end of its log.
    """
    port = free_port()
    launch = peer.launch(environment, model, folder, port)
    child = ChildProcess(launch.command, environment_for(launch), folder=launch.folder)
    started = time.perf_counter()
    child.start()
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(f"http://127.0.0.1:{port}{peer.ready_path}"):
            if not child.running or time.monotonic() > deadline:
                child.stop()
                raise LoadError(f"{peer.name} did not become ready. Its log ends with:\n{child.log(_LOG_LINES)}")
            time.sleep(_POLL_SECONDS)
        yield Running(f"http://127.0.0.1:{port}{peer.predict_path}", child.pid, time.perf_counter() - started)
    finally:
        child.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
