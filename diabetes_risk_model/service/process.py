"""Run the service in a process of its own and watch it: for the demonstration, notebooks, tests and benchmarks.

Nothing of the service itself is imported here, so that watching it costs none of its memory and time.
"""

import http.client
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from signed_parameters.child_process import ChildProcess, Server, free_port

_ATTEMPTS = 3
_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 2.0
_BYTES_PER_MEGABYTE = 1_000_000
_LOG_LINES = 30
_MARK = "X-Service-Process"


class ServiceError(RuntimeError):
    """The service did not become ready, or is not running."""


class ServiceProcess(Server):
    """A service that runs from a configuration file, on 127.0.0.1: by `uvicorn`, or by a module of its own.

    As a context manager it starts at entry and is stopped at exit. It ends with this process, on Linux even after
    a SIGKILL. `start` raises ServiceError where the configuration file is missing, the process ended, the service
    refused its model, or it was not ready in time; the message holds the last lines of the log.

    Attributes:
        ready_seconds: time from the start of the process to the first good answer, in seconds; 0.0 before that.
    """

    def __init__(
        self,
        app: str,
        config: Path,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        *,
        wait_ready: bool = True,
        seconds: float = 60.0,
        arguments: Sequence[str] = (),
    ) -> None:
        """Describe the service; `start` runs it.

        Args:
            app: the ASGI application that uvicorn runs, as "rest_model_service.main:app", or a module that takes the
                options --host, --port and --header as uvicorn does, as "diabetes_risk_model.service".
            config: the service's configuration file, handed over as REST_CONFIG.
            environment: variables that are added to those of this process.
            port: TCP port; a free one if None.
            wait_ready: wait until /api/health/ready answers 200. If False, until /api/health answers at all: for a
                service that is expected to refuse its model.
            seconds: how long to wait for that.
            arguments: more arguments for uvicorn or the module, as ["--no-access-log"].
        """
        self.ready_seconds = 0.0
        self._app = app
        self._config = config.absolute()
        self._environment = {**os.environ, **(environment or {}), "REST_CONFIG": str(self._config)}
        self._fixed_port = port
        self._port = 0
        self._mark = secrets.token_hex(8)
        self._wait_ready = wait_ready
        self._seconds = seconds
        self._arguments = list(arguments)
        self._child: ChildProcess | None = None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def url(self) -> str:
        """Address without a slash at its end, as "http://127.0.0.1:8000"."""
        self._started()
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the service."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the service's process is alive."""
        return self._child is not None and self._child.running

    @property
    def exit_code(self) -> int | None:
        """Exit status of the service; minus the signal's number if a signal ended it; None while it runs."""
        return self._started().exit_code

    def log(self, lines: int | None = None) -> str:
        """Return the last lines of what the service wrote (at most 1,000; all of these if `lines` is None)."""
        return self._started().log(lines)

    def status(self, path: str) -> int | None:
        """Return the HTTP status of a GET of a path, as "/api/health"; None where this service does not answer."""
        status, _ = self._get(path)
        return status

    def refuses(self) -> bool:
        """Return whether the service runs, but has given up loading its model."""
        if self.status("/api/health") == 503:  # what rest_model_service says then
            return True
        status, body = self._get("/api/health/ready")
        try:
            return status == 503 and json.loads(body)["retrying"] is False
        except (ValueError, LookupError, TypeError):
            return False

    def pids(self) -> list[int]:
        """Return the process ids of the service and of its child processes, its own first. Linux only."""
        return _with_descendants(self.pid)

    def resident_megabytes(self) -> float:
        """Return the resident memory of the service and its child processes, in megabytes (10^6 bytes). Linux only."""
        if not self.running:
            raise ServiceError("The service is not running, so its memory cannot be measured. Start it first.")
        return sum(map(_resident_bytes, self.pids())) / _BYTES_PER_MEGABYTE

    def stop(self) -> None:
        """Stop the service and wait for its end: SIGTERM, then SIGKILL. May be called again. The log stays readable."""
        if self._child is not None:
            self._child.stop()

    def _run(self) -> None:
        if not self._config.is_file():
            message = f"Expected the service's configuration file at {self._config}; found none."
            raise ServiceError(f"{message} Check the path.")
        for attempt in range(1, _ATTEMPTS + 1):
            self._port = self._fixed_port or free_port()
            program = ["uvicorn", self._app] if ":" in self._app else [self._app]
            command = [sys.executable, "-m", *program, "--host", "127.0.0.1", "--port", str(self._port)]
            mark = ["--header", f"{_MARK}:{self._mark}"]
            self._child = ChildProcess([*command, *mark, *self._arguments], self._environment)
            started = time.perf_counter()
            self._child.start()
            try:
                self._wait()
            except ServiceError:
                lost_the_port = not self._child.running and "address already in use" in self._child.log()
                if attempt == _ATTEMPTS or self._fixed_port is not None or not lost_the_port:
                    raise
            else:
                self.ready_seconds = time.perf_counter() - started
                return

    def _get(self, path: str) -> tuple[int | None, bytes]:
        try:
            with self._opener.open(self.url + path, timeout=_ANSWER_SECONDS) as response:
                status, headers, body = int(response.status), response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, headers, body = error.code, error.headers, error.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        # Until this service has opened its port, another program may answer there.
        return (status, body) if headers[_MARK] == self._mark else (None, b"")

    def _wait(self) -> None:
        deadline = time.monotonic() + self._seconds
        while self._started().running:
            if self.status("/api/health/ready" if self._wait_ready else "/api/health") in self._awaited():
                return
            if self._wait_ready and self.refuses():
                raise self._failure("runs, but refused to load its model")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready in {self._seconds:g} seconds")
            time.sleep(_POLL_SECONDS)
        raise self._failure(f"ended with status {self._started().exit_code} before it was ready")

    def _awaited(self) -> tuple[int, ...]:
        return (200,) if self._wait_ready else (200, 503)

    def _failure(self, what: str) -> ServiceError:
        self._started().stop()  # its output is complete after this, and what it says last is the reason
        log = self.log(_LOG_LINES) or "(nothing)"
        return ServiceError(f"The service {self._app} with {self._config.name} {what}. Its log ends with:\n{log}")

    def _started(self) -> ChildProcess:
        if self._child is None:
            raise ServiceError("The service was not started. Call start(), or use it in a `with` block.")
        return self._child


def _resident_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kibibytes = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    return sum(kibibytes) * 1024


def _with_descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The program's name stands in brackets and may hold blanks and brackets itself.
            after_name = entry.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(after_name[1]), []).append(int(entry.parent.name))
    family = [pid]
    for member in family:
        family.extend(children.get(member, []))
    return family
