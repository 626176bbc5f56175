"""Measure the service against the design to beat, in one run on this machine: `python -m benchmarks.serving`.

The same model is served three times, each time by one process: the baseline (see `benchmarks.baseline`), ours by
`rest_model_service`, and ours by our own application. A bare ASGI application, which answers a constant, is the floor
(see `benchmarks.bare`). The answers of all but the floor are compared. All four run at once, and are loaded in turn.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import signed_parameters as sp
from benchmarks.batches import Batches, measure_batches
from benchmarks.interruptions import measure_interruptions
from benchmarks.load import Load, LoadError, post, require_wrk
from benchmarks.resources import processor_seconds
from benchmarks.services import (
    BASELINE,
    BODIES,
    ENGINES,
    FLOOR,
    OURS,
    TRAINED,
    Service,
    build_baseline,
    compare_answers,
    predict,
    services,
)
from benchmarks.serving_report import missed_targets, print_report
from diabetes_risk_model.progress import step
from diabetes_risk_model.service.process import ServiceError, ServiceProcess

_FIRST_REQUESTS = 20_000


@dataclass(frozen=True)
class Measurement:
    """What was measured of a service.

    Attributes:
        ready: time from the start of its process to the first good answer, in seconds; median of the starts.
        idle: resident memory before the load, in megabytes (10^6 bytes).
        loaded: resident memory after it.
        load: the median of the rounds, each figure for itself.
        processor: time of the processor for a request, in microseconds; median of the rounds.
    """

    ready: float
    idle: float
    loaded: float
    load: Load
    processor: float


@dataclass(frozen=True)
class Growth:
    """Resident memory over many requests: after the first of them, and after all, in megabytes (10^6 bytes)."""

    requests: int
    before: float
    after: float


def process_of(service: Service) -> ServiceProcess:
    """Return the process of a service, not started."""
    return ServiceProcess(
        service.app, service.config, service.environment, arguments=["--no-access-log"], seconds=120, wait_ready=True
    )


def ready_seconds(service: Service, starts: int) -> float:
    """Start a service several times, and return the median of the times until it was ready, in seconds."""
    times = []
    for _ in range(starts):
        with process_of(service) as process:
            times.append(process.ready_seconds)
    return statistics.median(times)


def measure(listed: Sequence[Service], *, starts: int, rounds: int, seconds: int) -> dict[str, Measurement]:
    """Start each service several times, then all at once, compare their answers, and load one after the other.

    Args:
        listed: what to measure.
        starts: how many times each is started.
        rounds: how many times each is loaded. The services take turns, so that what else the machine does meets all.
        seconds: how long each load lasts.

    Raises:
        LoadError: a service answered with errors, or other than the rest.
    """
    ready = {}
    for service in listed:
        with step(f"Start {starts} times: {service.name}"):
            ready[service.name] = ready_seconds(service, starts)
    with ExitStack() as stack:
        running = [(service, stack.enter_context(process_of(service))) for service in listed]
        answers = {s.name: [predict(p.url + s.path, body) for body in BODIES] for s, p in running}
        compared = [name for name in answers if name != FLOOR]
        for name in compared[1:]:
            compare_answers(answers[compared[0]], answers[name])
        idle = {service.name: process.resident_megabytes() for service, process in running}
        loads: dict[str, list[tuple[Load, float]]] = {service.name: [] for service in listed}
        with step("Load") as progress:
            for number in range(1, rounds + 1):
                for service, process in running:
                    progress.update(f"round {number} of {rounds}: {service.name}")
                    loads[service.name].append(load_of(process, service.path, seconds))
        return {
            service.name: Measurement(
                ready[service.name],
                idle[service.name],
                process.resident_megabytes(),
                median_load([load for load, _ in loads[service.name]]),
                statistics.median(processor for _, processor in loads[service.name]),
            )
            for service, process in running
        }


def load_of(process: ServiceProcess, path: str, seconds: int) -> tuple[Load, float]:
    """Load a service, and return how it answered, and the processor's time for a request, in microseconds."""
    before = processor_seconds(process.pid)
    load = post(process.url + path, BODIES, seconds=seconds)
    return load, (processor_seconds(process.pid) - before) / load.requests * 1e6


def median_load(loads: Sequence[Load]) -> Load:
    """Return the medians of several loads' figures."""
    return Load(
        statistics.median(load.requests_per_second for load in loads),
        statistics.median(load.p50 for load in loads),
        statistics.median(load.p99 for load in loads),
        sum(load.requests for load in loads),
    )


def growth_of(service: Service, requests: int, seconds: int) -> Growth:
    """Load a service until it has answered so many requests, and return how its memory grew."""
    with process_of(service) as process, step(f"{requests:,} requests: {service.name}") as progress:
        done = 0
        before = 0.0
        while done < requests:
            done += post(process.url + service.path, BODIES, seconds=seconds).requests
            progress.update(f"{done:,}")
            before = before or (process.resident_megabytes() if done >= _FIRST_REQUESTS else 0.0)
        return Growth(done, before, process.resident_megabytes())


def main() -> int:
    """Measure, print, and return 1 where a target is missed, 2 where a service fails."""
    options = _options()
    batches: dict[str, Batches] = {}
    try:
        require_wrk()
        build_baseline(options.folder, options.source, options.rows)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            artefacts = options.artefacts or options.folder
            listed = services(options.folder.resolve(), artefacts, Path(folder).resolve(), options.engine)
            measured = measure(
                [service for service in listed if service.name != BASELINE] if options.artefacts else listed,
                starts=options.starts,
                rounds=options.rounds,
                seconds=options.seconds,
            )
            (ours,) = (service for service in listed if service.name == OURS)
            with process_of(ours) as process, step("Batches of 10,000 rows"):
                url = process.url + ours.path
                batches = measure_batches(url, process.pid, rounds=options.rounds, seconds=options.seconds)
            growth = growth_of(ours, options.requests, options.seconds) if options.requests else None
        with step("Busy loops, without a service"):
            interruptions = measure_interruptions()
    except (LoadError, ServiceError, sp.SignedParametersError) as error:
        print(error, file=sys.stderr)
        return 2
    print_report(measured, batches, growth, interruptions, options.engine)
    missed = missed_targets(measured, batches, growth)
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--folder", type=Path, default=TRAINED, help="of the models")
    parser.add_argument("--source", default="auto", help="survey: auto, kaggle, embedded, or a path (default: auto)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows to train on, where a model must be trained")
    parser.add_argument("--artefacts", type=Path, help="serve the model of this folder, without the baseline")
    parser.add_argument("--engine", choices=ENGINES, default="table", help="of our model (default: table)")
    parser.add_argument("--starts", type=int, default=3, help="starts of each service; their median counts")
    parser.add_argument("--rounds", type=int, default=3, help="loads on each service; their medians count")
    parser.add_argument("--seconds", type=int, default=5, help="length of each load")
    parser.add_argument("--requests", type=int, default=200_000, help="over which memory is watched; 0: not at all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
