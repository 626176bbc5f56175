"""An MLflow server and an S3 server on this machine: `make registry`, and what the tests run.

MLflow keeps its database in SQLite, and its artefacts in the bucket `mlflow` of the local S3 server, into whose folder
it writes. Both servers listen on 127.0.0.1 only. It is not for production: there is no sign-in.
"""

import argparse
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from signed_parameters.child_process import ChildProcess
from signed_parameters.local_server import LocalS3Server, LocalServerError

BUCKETS = ("mlflow", "model-packages", "staging-files", "production-files")
_START_SECONDS = 120.0
_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class LocalRegistry:
    """MLflow over a folder, and an S3 server with the buckets that promotion needs. Use it as a context manager."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        """Choose the folder; nothing runs yet.

        Args:
            folder: holds the database and the buckets; made if it is missing, and not removed.
            port: of MLflow on 127.0.0.1; 0 takes a free one.
        """
        self._folder = folder.absolute()
        self._port = port
        self._child: ChildProcess | None = None
        self.storage = LocalS3Server(self._folder / "buckets")

    @property
    def url(self) -> str:
        """Address of MLflow, as "http://127.0.0.1:5000"."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether both servers are alive."""
        return self.storage.running and self._child is not None and self._child.running

    def start(self) -> Self:
        """Start both servers, and return when they answer.

        Raises:
            LocalServerError: one cannot be started.
        """
        for bucket in BUCKETS:
            (self._folder / "buckets" / bucket).mkdir(parents=True, exist_ok=True)
        self.storage.start()
        self._port = self._port or _free_port()
        options = {
            "--backend-store-uri": f"sqlite:///{self._folder / 'mlflow.db'}",
            "--artifacts-destination": (self._folder / "buckets" / "mlflow").as_uri(),
            "--host": "127.0.0.1",
            "--port": str(self._port),
            "--workers": "1",
        }
        command = [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option)]
        path = (
            f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # MLflow looks for uvicorn there
        )
        environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._child = ChildProcess(command, environment, folder=self._folder)
        try:
            self._child.start()
            self._wait(self._child)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both servers. May be called again."""
        if self._child is not None:
            self._child.stop()
        self.storage.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, child: ChildProcess) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + _START_SECONDS
        while child.running and time.monotonic() < deadline:
            try:
                opener.open(f"{self.url}/health", timeout=_ANSWER_SECONDS).close()
            except OSError:
                time.sleep(_PAUSE_SECONDS)
            else:
                return
        raise LocalServerError(f"MLflow does not answer at {self.url}. It said:\n{child.log(20) or '(nothing)'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a registry until Ctrl-C (or SIGTERM); print where it is, and the variables that lead to its storage.

    Returns:
        Exit status: 0 after Ctrl-C, 1 where a server cannot start or ends by itself.
    """
    parser = argparse.ArgumentParser(
        prog="python -m diabetes_risk_model.promotion.local_registry", description=main.__doc__
    )
    parser.add_argument("folder", type=Path, help="folder for the database and the buckets; made if it is missing")
    parser.add_argument("--port", type=int, default=5000, help="TCP port of MLflow (default: 5000; 0 for a free one)")
    options = parser.parse_args(arguments)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with LocalRegistry(options.folder, port=options.port) as registry:
            for name, value in registry.storage.environment().items():
                print(f"export {name}={value}")
            print(
                f"# MLflow is at {registry.url}, with the buckets {', '.join(BUCKETS)}; press Ctrl-C to stop.",
                flush=True,
            )
            while registry.running:
                time.sleep(0.2)
            print("A server ended by itself.", file=sys.stderr)
            return 1
    except LocalServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
