"""An MLflow server and an S3 server on this machine: `make registry`, and what the tests run.

MLflow keeps its database in SQLite, and its artefacts in the bucket `mlflow` of the local S3 server. It takes
them and hands them out itself, so that who logs a run needs no key of that bucket. Both servers listen on 127.0.0.1
only. It is not for production: there is no sign-in. So MLflow runs under gunicorn, where it has no assistant: that
would run shell commands for whoever asks from this machine.
"""

import argparse
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from signed_parameters.child_process import ChildProcess, Server, free_port
from signed_parameters.local_server import LocalS3Server, LocalServerError, exports, run_until_stopped

BUCKETS = ("mlflow", "model-packages", "staging-files", "production-files")
# What MLflow would do besides: no reports to its makers, no jobs, no requests to language models.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
}
_START_SECONDS = 120.0
_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class LocalRegistry(Server):
    """MLflow over a folder, and an S3 server with the buckets that promotion needs. Use it as a context manager.

    `start` raises LocalServerError where one of them cannot be started.
    """

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

    def _run(self) -> None:
        for bucket in BUCKETS:
            (self._folder / "buckets" / bucket).mkdir(parents=True, exist_ok=True)
        _check_free(self._port)
        self.storage.start()
        self._port = self._port or free_port()
        options = {
            "--backend-store-uri": f"sqlite:///{self._folder / 'mlflow.db'}",
            "--artifacts-destination": "s3://mlflow",
            "--host": "127.0.0.1",
            "--port": str(self._port),
            "--workers": "1",
            "--gunicorn-opts": "--threads 32 --graceful-timeout 1 --no-control-socket",
        }
        command = [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option)]
        environment = {**os.environ, **self.storage.environment(), **_SETTINGS}
        self._child = ChildProcess(command, environment, folder=self._folder)
        self._child.start()
        self._wait(self._child)

    def stop(self, seconds: float = 5.0) -> None:
        """Stop both servers. MLflow is killed if it has not ended after so many seconds. May be called again."""
        if self._child is not None:
            self._child.stop(seconds)
        self.storage.stop()

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


def _check_free(port: int) -> None:
    """Check that nobody else listens: another server's answer would be taken for MLflow's."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise LocalServerError(
                f"MLflow cannot listen on 127.0.0.1:{port}: {error.strerror}. Choose another port by --port "
                "(make registry PORT=...), or end what is there."
            ) from None


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

    def announce(registry: LocalRegistry) -> str:
        where = f"# MLflow is at {registry.url}, with the buckets {', '.join(BUCKETS)}; press Ctrl-C to stop."
        return f"{exports(registry.storage)}\n{where}"

    return run_until_stopped(LocalRegistry(options.folder, port=options.port), announce)


if __name__ == "__main__":
    sys.exit(main())
