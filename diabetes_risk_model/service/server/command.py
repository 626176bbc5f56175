"""The command that runs the service: `python -m diabetes_risk_model.service`."""

import logging
import os
import re
import socket
import sys
import time

import click
import uvicorn

from diabetes_risk_model.service.application import application_of
from diabetes_risk_model.service.configuration import CheckedConfiguration, configuration_path, read_configuration
from diabetes_risk_model.service.life import Board, Life
from diabetes_risk_model.service.server.connections import guarded_by
from diabetes_risk_model.service.server.draining import DrainingServer, Ended
from diabetes_risk_model.service.server.workers import NOT_USABLE, Workers
from signed_parameters import ConfigurationError

_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_HEADER = re.compile(r"([A-Za-z0-9-]+): *([!-~](?:[ -~]*[!-~])?)")
_OTHER_FILES = 100
_LOADING_POLL_SECONDS = 0.05

_logger = logging.getLogger(__name__)


class _Service:
    def __init__(self, configuration: CheckedConfiguration, listener: socket.socket, headers: list[tuple[str, str]]):
        self._configuration = configuration
        self._listener = listener
        self._headers = headers

    def serve(self, board: Board | None = None, worker: int = 0, loads_first: bool = False) -> int:
        """Serve in this process, and return its exit status.

        Args:
            board: of the workers, where this is one of several.
            worker: its number.
            loads_first: whether the models are loaded before connections are taken.
        """
        connections, times = self._configuration.connections, self._configuration.shutdown
        try:
            application = application_of(self._configuration)
        except ConfigurationError as error:
            _logger.error("%s", error)
            return NOT_USABLE
        life: Life = application.state.life
        parent = None
        if board is not None:
            life.join(board, worker)
            parent = os.getppid()
            if loads_first and not _load(life, parent):
                return 0
        config = uvicorn.Config(
            Ended(application),
            http=guarded_by(connections),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=self._headers,
            backlog=connections.backlog,
            timeout_keep_alive=connections.idle_seconds,
            timeout_graceful_shutdown=times.request_seconds,
        )
        server = DrainingServer(config, life, connections, times, parent)
        server.run([self._listener])
        return server.status

    def check(self) -> None:
        """Import all that workers share, and raise ConfigurationError for what none of them could use."""
        application_of(self._configuration)


def _load(life: Life, parent: int) -> bool:
    """Load the models, and return whether that came to an end before the process shall."""
    life.loading.start()
    while not life.loading.ready:
        time.sleep(_LOADING_POLL_SECONDS)
        if os.getppid() != parent:
            return False
    return True


def run(host: str, port: int, workers: int, headers: list[tuple[str, str]]) -> int:
    """Run the service until a signal ends it, and return the exit status.

    Args:
        host: address to listen at.
        port: TCP port; a free one if 0.
        workers: number of processes.
        headers: of every answer.

    Raises:
        ConfigurationError: the configuration file is not usable, or the address is taken.
    """
    configuration = read_configuration(configuration_path())
    if configuration.logging is None:
        logging.basicConfig(level=logging.INFO, format=_LINE)
    _allow_files(2 * configuration.connections.most + _OTHER_FILES)
    with _listen(host, port, configuration.connections.backlog) as listener:
        _logger.info("Serving at http://%s:%d", host, listener.getsockname()[1])
        service = _Service(configuration, listener, headers)
        if workers == 1:
            return service.serve()
        service.check()
        times = configuration.shutdown
        return Workers(workers, service.serve, times.drain_seconds + times.request_seconds).run()


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except (OSError, OverflowError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"the service cannot listen at {host}:{port}",
            expected="an address of this machine, and a free port",
            found=found.lower(),
            remedy="Name others by --host and --port.",
        ) from None


def _allow_files(needed: int) -> None:
    """Raise this process's limit on open files towards what its connections need."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _headers(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[tuple[str, str]]:
    matches = [_HEADER.fullmatch(header) for header in given]
    if None in matches:
        raise click.BadParameter("Expected NAME:VALUE.")
    return [(match[1], match[2]) for match in matches if match is not None]


@click.command("python -m diabetes_risk_model.service")
@click.option("--host", envvar="HOST", default="127.0.0.1", show_default=True, help="Address to listen at. [HOST]")
@click.option("--port", envvar="PORT", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="[PORT]")
@click.option(
    "--workers", envvar="WORKERS", type=click.IntRange(1), default=1, show_default=True, help="Processes. [WORKERS]"
)
@click.option("--header", "headers", multiple=True, callback=_headers, help="NAME:VALUE, a header of every answer.")
def main(host: str, port: int, workers: int, headers: list[tuple[str, str]]) -> None:
    """Run the service that the file at REST_CONFIG describes. docs/operations.md tells how it begins and ends."""
    try:
        status = run(host, port, workers, headers)
    except ConfigurationError as error:
        click.echo(f"Error: {error}", err=True)
        status = NOT_USABLE
    sys.exit(status)
