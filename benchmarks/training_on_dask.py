"""Measure `diabetes-risk-model train` without Dask and on workers of this machine, and compare what it writes.

`python -m benchmarks.training_on_dask` takes the full profile, and some minutes for each number of workers. `--source`
names the survey, `--profile quick` makes it shorter. The times are those of the whole command, from its start to its
end. The workers are there before and have imported pycaret, as those of a cluster have after their first training; how
long that took is printed. Every file of every run has to be the same, but for the report on the survey, which carries
the time at which it was made.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import Client, LocalCluster
from rich.console import Console
from rich.table import Table

from diabetes_risk_model.progress import step
from diabetes_risk_model.training import worker
from diabetes_risk_model.training.profiles import PROFILES

TIMES_FASTER = 1.7
_COMMAND = Path(sys.executable).with_name("diabetes-risk-model")
_TLS = {"CA_FILE": "tls_ca_file", "CLIENT__CERT": "tls_client_cert", "CLIENT__KEY": "tls_client_key"}
_REPORT = "profile.html"


@dataclass(frozen=True)
class Run:
    """One training: on how many workers, how long it took in seconds, the digests of its files, what it printed.

    `importing` is how long the workers took to import pycaret before, in seconds.
    """

    workers: int
    seconds: float
    files: dict[str, str]
    printed: str
    importing: float = 0.0


def run(arguments: Sequence[str], workers: int) -> Run:
    """Train, with workers of this machine unless there are to be none.

    Raises:
        RuntimeError: the command failed.
    """
    if workers == 0:
        return _train(arguments, {}, workers)
    options = {"threads_per_worker": 1, "security": True, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=workers, **options) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        # The command finds the certificates where those of any cluster are: in Dask's configuration.
        tls = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": getattr(client.security, field) for name, field in _TLS.items()}
        address = str(client.scheduler_info()["address"])
        started = time.perf_counter()
        client.run(worker.process)
        importing = time.perf_counter() - started
        return replace(_train([*arguments, "--scheduler", address], tls, workers), importing=importing)


def _train(arguments: Sequence[str], environment: dict[str, str], workers: int) -> Run:
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run(
            [_COMMAND, "train", "--out", folder, "--parameters-version", "benchmark", *arguments],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(done.stdout)
        files = {
            str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(Path(folder).rglob("*"))
            if file.is_file() and file.name != _REPORT
        }
    return Run(workers, seconds, files, done.stdout)


def report(console: Console, runs: Sequence[Run]) -> bool:
    """Print the runs, and say whether they wrote the same and two workers are as many times as fast as they should."""
    by_workers = {run.workers: run for run in runs}
    one = by_workers.get(1)
    table = Table("workers", "seconds", "times as fast as one worker", "to import pycaret, before")
    for run in runs:
        times = "" if one is None else f"{one.seconds / run.seconds:.2f}"
        importing = f"{run.importing:.1f}" if run.workers else ""
        table.add_row(str(run.workers or "none, no Dask"), f"{run.seconds:.1f}", times, importing)
    console.print(table)
    names = {name for run in runs for name in run.files}
    different = {name for name in names if len({run.files.get(name) for run in runs}) > 1}
    console.print(f"{len(runs[0].files)} files of each run; different: {', '.join(sorted(different)) or 'none'}")
    if one is None or 2 not in by_workers:
        return not different
    ratio = one.seconds / by_workers[2].seconds
    reached = ratio >= TIMES_FASTER
    console.print(f"two workers {ratio:.2f} times as fast; at least {TIMES_FASTER}: {'yes' if reached else 'NO'}")
    return reached and not different


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 0 if the target is reached and all files are the same, 1 if not, 2 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_on_dask", description=__doc__)
    parser.add_argument("--source", default="auto", help="auto, kaggle, embedded, or the path of the CSV file")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="full", help="of the training (%(default)s)")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[0, 1, 2], help="how many; 0 is without Dask (%(default)s)"
    )
    parser.add_argument("--steps", action="store_true", help="print what each run says of its steps, with their times")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    runs = []
    try:
        for workers in options.workers:
            with step(f"Train, {workers or 'no'} worker{'' if workers == 1 else 's'}"):
                runs.append(run(["--source", options.source, "--profile", options.profile], workers))
            if options.steps:
                console.print(runs[-1].printed, markup=False, soft_wrap=True)
    except RuntimeError as error:
        console.print(f"error: the training failed\n{error}", markup=False)
        return 2
    return 0 if report(console, runs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
