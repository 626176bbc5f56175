"""Measure what worker processes share, and what they add: `python -m benchmarks.workers`.

The same service is run by its own entry, whose workers are forked from a process that has imported everything, and by
`uvicorn --workers`, whose workers import for themselves. Each is loaded alone, one after the other. Linux only.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.load import Load, LoadError, post, require_wrk
from benchmarks.resources import processor_seconds
from benchmarks.services import BODIES, ENGINES, OUR_APPLICATION, TRAINED, build_baseline, our_configuration
from diabetes_risk_model.prediction.parameters import MODEL_NAME
from diabetes_risk_model.progress import step
from diabetes_risk_model.service.process import ServiceError, ServiceProcess

OWN, UVICORN = "own entry", "uvicorn"
NUMBERS = (1, 2, 4)
_PREDICTION = f"/api/models/{MODEL_NAME}/prediction"
_WARM_SECONDS = 1
_ATTEMPTS = 20


@dataclass(frozen=True)
class Memory:
    """Memory of a process or several, in megabytes (10^6 bytes).

    Attributes:
        proportional: each page divided by the number of processes that share it. The sum over all is what they take.
        private: pages of one process alone: what its end would free.
    """

    proportional: float
    private: float


@dataclass(frozen=True)
class Measurement:
    """What was measured of a service.

    Attributes:
        ready: time from the start of its first process to the first good answer, in seconds.
        total: proportional memory of all its processes, under load, in megabytes.
        private: private memory of a worker, the mean, in megabytes.
        load: how it answered.
        busiest: share of the busiest worker in the workers' time of the processor.
    """

    ready: float
    total: float
    private: float
    load: Load
    busiest: float


def memory_of(pid: int) -> Memory:
    """Return the memory of a process."""
    kibibytes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        kibibytes[name.rstrip(":")] = int(value)
    private = kibibytes["Private_Clean"] + kibibytes["Private_Dirty"]
    return Memory(kibibytes["Pss"] * 1024 / 1e6, private * 1024 / 1e6)


def measure(how: str, workers: int, configuration: Path, seconds: int) -> Measurement:
    """Run a service, load it, and return the measurement.

    Args:
        how: OWN or UVICORN.
        workers: how many.
        configuration: file of the service.
        seconds: how long it is loaded.
    """
    arguments = ["--workers", str(workers)]
    if how == UVICORN:
        arguments.append("--no-access-log")
    app = "diabetes_risk_model.service" if how == OWN else OUR_APPLICATION
    with ServiceProcess(app, configuration, arguments=arguments) as process:
        _warm(process, workers)
        pids = process.pids()
        # The largest are the workers: uvicorn has a small helper beside them, and both have the parent.
        children = sorted(pids[1:], key=lambda pid: memory_of(pid).proportional, reverse=True)[:workers]
        serving = children if workers > 1 else pids[:1]
        before = [processor_seconds(pid) for pid in serving]
        load = post(process.url + _PREDICTION, BODIES, seconds=seconds)
        used = [processor_seconds(pid) - past for pid, past in zip(serving, before, strict=True)]
        private = sum(memory_of(pid).private for pid in serving) / len(serving)
        total = sum(memory_of(pid).proportional for pid in pids)
        return Measurement(process.ready_seconds, total, private, load, max(used) / sum(used))


def _warm(process: ServiceProcess, workers: int) -> None:
    """Load a service until it answers without an error: uvicorn's workers take requests before they are ready."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            post(process.url + _PREDICTION, BODIES, seconds=_WARM_SECONDS, connections=8 * workers)
        except LoadError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def print_report(measured: dict[tuple[str, int], Measurement], engine: str) -> None:
    """Print the measurements."""
    table = Table(title=f"Workers, engine {engine}")
    for heading in ("", "n", "ready s", "MB", "+MB", "own MB", "req/s", "times", "busiest"):
        table.add_column(heading, justify="left" if not heading else "right")
    for (how, workers), one in measured.items():
        alone = measured[how, NUMBERS[0]]
        more = f"{(one.total - alone.total) / (workers - 1):.1f}" if workers > 1 else ""
        table.add_row(
            how,
            str(workers),
            f"{one.ready:.2f}",
            f"{one.total:.1f}",
            more,
            f"{one.private:.1f}",
            f"{one.load.requests_per_second:,.0f}",
            f"{one.load.requests_per_second / alone.load.requests_per_second:.2f}",
            f"{one.busiest:.0%}",
        )
    console = Console()
    console.print(table)
    console.print(
        "n: workers. MB: memory of all processes, shared pages counted once. +MB: what each worker beyond the first "
        "adds, with its share of the parent. own MB: what a worker shares with nobody. times: requests, against one "
        "worker; the load generator needs a core too. busiest: share of one worker in the work."
    )


def main() -> int:
    """Measure and print; return 2 where a service fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--artefacts", type=Path, help="folder of the model (default: it is trained)")
    parser.add_argument("--engine", choices=ENGINES, default="table", help="of the model (default: table)")
    parser.add_argument("--seconds", type=int, default=4, help="length of each load")
    options = parser.parse_args()
    measured: dict[tuple[str, int], Measurement] = {}
    try:
        require_wrk()
        if options.artefacts is None:
            build_baseline(TRAINED, "auto", 20_000)
        with tempfile.TemporaryDirectory() as folder:
            configuration = our_configuration(options.artefacts or TRAINED, Path(folder), options.engine)
            for how in (OWN, UVICORN):
                for workers in NUMBERS:
                    with step(f"{how}, {workers}"):
                        measured[how, workers] = measure(how, workers, configuration, options.seconds)
    except (LoadError, ServiceError, sp.SignedParametersError) as error:
        print(error, file=sys.stderr)
        return 2
    print_report(measured, options.engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
