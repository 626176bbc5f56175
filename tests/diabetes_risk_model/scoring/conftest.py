"""Rows to score, a package to score them with, and workers: in this process, or in processes of their own."""

import os
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from distributed.security import Security

from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.table import Table, TableEngine
from diabetes_risk_model.scoring.cluster import DaskWorkers
from diabetes_risk_model.scoring.inputs import DataFile, find_files
from diabetes_risk_model.scoring.run import Summary, Wanted, score
from diabetes_risk_model.scoring.workers import Workers
from signed_parameters.child_process import ChildProcess

DASK = Path(sys.executable).with_name("dask")
_START_SECONDS = 60.0

Score = Callable[..., Summary]


def _emulators() -> Any:
    """The emulators of clouds that the tests of storage start."""
    path = Path(__file__).parents[2] / "signed_parameters/storage/conftest.py"
    specification = spec_from_file_location("emulators_of_clouds", path)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


azure_server, google_server = (getattr(_emulators(), name) for name in ("azure_server", "google_server"))


@pytest.fixture(scope="session")
def threads() -> Iterator[Client]:
    """Two workers in this process."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def table(trained_model: Any) -> Table:
    """The table of the package's model."""
    return Table.from_bytes(trained_model.files["model.table"].read_bytes(), INPUT_COLUMNS)


@pytest.fixture(scope="session")
def survey() -> pa.Table:
    """Coded rows, some answers of which are missing, beside columns that are not looked at."""
    numbers, rows = np.random.default_rng(7), 20_000
    columns = {
        "Smoker": pa.array(numbers.integers(0, 2, rows)),
        "BMI": pa.array(np.round(numbers.uniform(10, 100, rows), 1), mask=numbers.random(rows) < 0.1),
        "GenHlth": pa.array(numbers.integers(1, 6, rows)),
        "Age": pa.array(numbers.integers(1, 14, rows), mask=numbers.random(rows) < 0.1),
        "Income": pa.array(numbers.integers(1, 9, rows).astype(float), mask=numbers.random(rows) < 0.1),
    }
    return pa.table(columns)


@pytest.fixture(scope="session")
def answers(survey: pa.Table, table: Table) -> list[float]:
    """The service's own answers to the rows of the survey."""
    columns = (survey[name].to_pylist() for name in ("BMI", "GenHlth", "Age", "Income"))
    filled = [[np.nan if value is None else value for value in column] for column in columns]
    return list(TableEngine(table).probabilities((filled[0], filled[1], filled[2], filled[3])))


@pytest.fixture
def source(tmp_path: Path, survey: pa.Table) -> Path:
    """The survey as Parquet, in row groups of a thousand rows."""
    path = tmp_path / "survey.parquet"
    pq.write_table(survey, path, row_group_size=1_000)
    return path


@pytest.fixture
def csv_source(tmp_path: Path, survey: pa.Table) -> Path:
    """The survey as CSV."""
    path = tmp_path / "survey.csv"
    pc.write_csv(survey, path)
    return path


@pytest.fixture
def run(bucket: Any, threads: Client) -> Score:
    """`run(source, output, ...)` scores with Dask's workers in this process, or with others."""

    def run(source: object, output: object, *, workers: Workers | None = None, **options: Any) -> Summary:
        wanted = Wanted(str(source), str(output), **{"configuration": bucket.settings(), **options})
        return score(wanted, nullcontext(workers or DaskWorkers(threads)))

    return run


@pytest.fixture
def data_file(tmp_path: Path) -> Callable[[bytes], DataFile]:
    """`data_file(content)` is a CSV file."""

    def write(content: bytes) -> DataFile:
        (tmp_path / "rows.csv").write_bytes(content)
        (file,) = find_files(str(tmp_path / "rows.csv"))
        return file

    return write


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers, each a process of its own, and the environment of who may use it."""

    address: str
    environment: dict[str, str]
    scheduler: ChildProcess
    workers: list[ChildProcess]


MakeCluster = Callable[..., AbstractContextManager[Cluster]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment that gives Dask a new certificate, signed by itself, which all of a cluster have in common."""
    folder = tmp_path_factory.mktemp("certificates")
    security = Security.temporary()
    for name, content in (("cert", security.tls_client_cert), ("key", security.tls_client_key)):
        (folder / f"{name}.pem").write_text(content)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    own = {
        f"{tls}{role}__{name.upper()}": str(folder / f"{name}.pem")
        for role in ("SCHEDULER", "WORKER", "CLIENT")
        for name in ("cert", "key")
    }
    return {**own, f"{tls}CA_FILE": str(folder / "cert.pem"), "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


@pytest.fixture
def make_cluster(certificates: dict[str, str], tmp_path: Path) -> MakeCluster:
    """`make_cluster(workers=2, environment={...}, preload="...")` starts a scheduler and its workers as `dask` does."""

    @contextmanager
    def start(
        workers: int = 2, environment: Mapping[str, str] | None = None, preload: str | None = None
    ) -> Iterator[Cluster]:
        of_client = {**os.environ, **certificates}
        of_worker = {**of_client, **(environment or {})}
        options: list[str | Path] = []
        if preload is not None:
            (tmp_path / "preload.py").write_text(preload)
            options = ["--preload", tmp_path / "preload.py"]
        with ExitStack() as stack:

            def run(*command: str | Path, environment: Mapping[str, str], ready: str) -> tuple[ChildProcess, str]:
                process = stack.enter_context(ChildProcess([DASK, *command], environment))
                match = process.wait_for_line(ready, _START_SECONDS)
                assert match is not None, process.log()
                return process, match[1]

            here = ("--host", "127.0.0.1", "--protocol", "tls")
            ready = r"Scheduler at:\s+(tls://\S+)"
            quiet = ("--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
            scheduler, address = run("scheduler", *here, *quiet, environment=of_client, ready=ready)
            own = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", tmp_path / "dask")
            started = [
                run("worker", address, *here, *own, *options, environment=of_worker, ready=r"Registered to:\s+(\S+)")
                for _ in range(workers)
            ]
            yield Cluster(address, of_client, scheduler, [process for process, _ in started])

    return start


class Proxy:
    """Passes connections on to a server, and notes the requests that it sees.

    An answer with a part of an object gets the status 206. rclone gives 200, and clients of Google insist on the other.
    """

    def __init__(self, port: int) -> None:
        self.requests: list[str] = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as behind:
                    back = threading.Thread(target=_pass_on, args=(behind, self.request, _corrected), daemon=True)
                    back.start()
                    _pass_on(self.request, behind, proxy._note)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _note(self, data: bytes) -> bytes:
        self.requests += [line.decode() for line in re.findall(rb"(?:GET|PUT|HEAD) \S+(?= HTTP/)", data)]
        return data

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _pass_on(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(change(data))
        target.shutdown(socket.SHUT_WR)


def _corrected(data: bytes) -> bytes:
    head, blank, body = data.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200 ") and b"\r\ncontent-range:" in head.lower():
        head = head.replace(b" 200 OK", b" 206 Partial Content", 1)
    return head + blank + body


@pytest.fixture
def proxy() -> Iterator[Callable[[str], Proxy]]:
    """`proxy(url)` stands before a server."""
    with ExitStack() as stack:

        def start(url: str) -> Proxy:
            proxy = Proxy(int(url.rpartition(":")[2]))
            stack.callback(proxy.close)
            return proxy

        yield start
