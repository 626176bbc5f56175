"""Serve the same model by other servers and by ours, and compare: `python -m benchmarks.peers`.

Each peer gets the same reduced scikit-learn pipeline, which ours serves from its signed package. All get the same
people, each in its own protocol, from the same `wrk` over 8 connections, one server after the other, in rounds. First
the answers of each are compared with the pipeline's own.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.load import Load, LoadError, post, require_wrk
from benchmarks.peers.environments import environment_of
from benchmarks.peers.running import run
from benchmarks.peers.servers import PEERS, Peer
from benchmarks.resources import family_megabytes
from benchmarks.services import (
    BODIES,
    ENGINES,
    OUR_APPLICATION,
    SAME_PROBABILITY,
    TRAINED,
    build_baseline,
    model_settings,
    our_configuration,
    predict,
)
from diabetes_risk_model.prediction.encoding import encode_plain
from diabetes_risk_model.prediction.parameters import MODEL_NAME, fetch_parameters
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.progress import step
from diabetes_risk_model.service.process import ServiceError, ServiceProcess

OURS = "ours"


@dataclass(frozen=True)
class Measured:
    """What was measured of a server: seconds until ready, megabytes (10^6 bytes) after the load, and the load."""

    ready: float
    loaded: float
    load: Load


def measure_ours(configuration: Path, expected: Sequence[float], seconds: int) -> Measured:
    """Start our service, compare its answers, and load it."""
    with ServiceProcess(OUR_APPLICATION, configuration, arguments=["--no-access-log"]) as process:
        url = f"{process.url}/api/models/{MODEL_NAME}/prediction"
        compare(OURS, expected, [predict(url, body)["probability"] for body in BODIES])
        load = post(url, BODIES, seconds=seconds)
        return Measured(process.ready_seconds, family_megabytes(process.pid), load)


def measure_peer(
    peer: Peer, model: Path, rows: Sequence[Sequence[float]], expected: Sequence[float], seconds: int
) -> Measured:
    """Start a peer, compare its answers, and load it."""
    environment = environment_of(peer.package)
    with tempfile.TemporaryDirectory() as folder, run(peer, environment, model, Path(folder)) as running:
        bodies = [peer.request(row) for row in rows]
        compare(peer.name, expected, [peer.probability(predict(running.url, body)) for body in bodies])
        load = post(running.url, bodies, seconds=seconds)
        return Measured(running.ready, family_megabytes(running.pid), load)


def compare(name: str, expected: Sequence[float], found: Sequence[float]) -> None:
    """Raise LoadError unless the probabilities are those of the pipeline, within 1e-6."""
    for number, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
        if not abs(one - other) <= SAME_PROBABILITY:
            raise LoadError(f"{name} does not serve the same model: answer {number} is {other}; expected {one}.")


def median_of(measured: Sequence[Measured]) -> Measured:
    """Return the medians of several rounds, each figure for itself."""
    return Measured(
        statistics.median(each.ready for each in measured),
        statistics.median(each.loaded for each in measured),
        Load(
            statistics.median(each.load.requests_per_second for each in measured),
            statistics.median(each.load.p50 for each in measured),
            statistics.median(each.load.p99 for each in measured),
        ),
    )


def print_table(measured: Mapping[str, Measured]) -> None:
    """Print what was measured, and how many times each server's requests per second are ours."""
    ours = measured[OURS].load.requests_per_second
    table = Table(title="The same model, one process or worker, 8 connections")
    for heading in ("server", "ready (s)", "loaded (MB)", "requests/s", "p50 (ms)", "p99 (ms)", "ours is"):
        table.add_column(heading, justify="left" if heading == "server" else "right", no_wrap=True)
    for name, one in measured.items():
        table.add_row(
            name,
            f"{one.ready:.1f}",
            f"{one.loaded:.0f}",
            f"{one.load.requests_per_second:,.0f}",
            f"{one.load.p50:.2f}",
            f"{one.load.p99:.2f}",
            f"{ours / one.load.requests_per_second:.1f}x",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def missed_targets(measured: Mapping[str, Measured], peers: Sequence[Peer] = PEERS) -> list[str]:
    """Return which peers ours does not leave behind far enough, one sentence each."""
    ours = measured[OURS].load.requests_per_second
    times = {peer: ours / measured[peer.name].load.requests_per_second for peer in peers}
    return [
        f"{found:.1f} times {peer.name}'s requests/s; expected at least {peer.times:g}."
        for peer, found in times.items()
        if found < peer.times
    ]


def main() -> int:
    """Measure, print, and return 1 where a target is missed, 2 where a server fails."""
    options = _options()
    measured: dict[str, list[Measured]] = {}
    try:
        require_wrk()
        build_baseline(options.folder, options.source, options.rows)
        for peer in PEERS:
            with step(f"Environment of {peer.name}"):
                environment_of(peer.package)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            configuration = our_configuration(options.folder, folder, options.engine)
            pipeline = _pipeline(configuration)
            model = folder / "model.joblib"
            joblib.dump(pipeline, model)
            rows = [row for row in map(encode_plain, BODIES) if row is not None]
            expected = pipeline.predict_proba(np.array(rows))[:, 1].tolist()
            for number in range(1, options.rounds + 1):
                with step(f"Round {number} of {options.rounds}") as progress:
                    progress.update(OURS)
                    measured.setdefault(OURS, []).append(measure_ours(configuration, expected, options.seconds))
                    for peer in PEERS:
                        progress.update(peer.name)
                        found = measure_peer(peer, model, rows, expected, options.seconds)
                        measured.setdefault(peer.name, []).append(found)
    except (LoadError, ServiceError, sp.SignedParametersError) as error:
        print(error, file=sys.stderr)
        return 2
    medians = {name: median_of(each) for name, each in measured.items()}
    print_table(medians)
    missed = missed_targets(medians)
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


def _pipeline(configuration: Path) -> Any:
    """Load the scikit-learn pipeline out of our own package, as the service would: verified first."""
    with fetch_parameters(Settings.from_keywords(model_settings(configuration))) as package:
        return package.load_pickle("model.pkl")


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--folder", type=Path, default=TRAINED, help="of the models")
    parser.add_argument("--source", default="auto", help="survey: auto, kaggle, embedded, or a path (default: auto)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows to train on, where a model must be trained")
    parser.add_argument("--engine", choices=ENGINES, default="table", help="of our service (default: table)")
    parser.add_argument("--rounds", type=int, default=3, help="starts of and loads on each; their medians count")
    parser.add_argument("--seconds", type=int, default=5, help="length of each load")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
