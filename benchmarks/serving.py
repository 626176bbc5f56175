"""Measure the service against the design to beat, in one run on this machine: `python -m benchmarks.serving`.

The same model is served three times, one after the other, each time by one process: the baseline (see
`benchmarks.baseline`), ours by `rest_model_service`, and ours by our own application. The answers of all are compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.baseline.model import SECRET_FILE, SECRET_VARIABLE, SIGNED_PICKLE
from benchmarks.load import Load, LoadError, bodies_of, post, require_wrk
from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.progress import step
from diabetes_risk_model.service.process import ServiceError, ServiceProcess

PACKAGED = ("model.onnx", "manifest.json")
ROOT = Path(__file__).resolve().parents[1]
PARAMETERS_VERSION = "benchmark"
BASELINE, OURS = "baseline", "ours, own application"
READY_SECONDS, RESIDENT_MEGABYTES, TIMES_THE_BASELINE = 2.0, 120.0, 20.0
_SAME_PROBABILITY = 1e-6
_BODIES = 64
_ANSWER_SECONDS = 30
# pycaret writes a log file into the working directory at import, unless it is told another place.
_QUIET_PYCARET = {"PYCARET_CUSTOM_LOGGING_PATH": os.devnull}


@dataclass(frozen=True)
class Service:
    """What is served, and how."""

    name: str
    app: str
    config: Path
    model: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """What was measured of a service. Times in seconds, memory in megabytes (10^6 bytes), latencies in milliseconds."""

    ready: float
    idle: float
    loaded: float
    load: Load


def build_baseline(folder: Path, source: str, rows: int) -> None:
    """Train the baseline in a process of its own, unless the folder has it already.

    Raises:
        LoadError: it could not be trained.
    """
    if (folder / SIGNED_PICKLE).exists():
        return
    command = [sys.executable, "-m", "benchmarks.baseline.build", str(folder), "--source", source, "--rows", str(rows)]
    # LightGBM, which selects the columns, loses far more time to its threads than it wins on so few rows.
    environment = {**os.environ, **_QUIET_PYCARET, "OMP_NUM_THREADS": "1"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        raise LoadError(
            "The baseline could not be trained; the reason is above. Other rows may help: --source, --rows."
        )


def services(trained: Path, artefacts: Path, folder: Path) -> list[Service]:
    """Write what the three services need into a folder: configuration files, and our package, signed with a new key.

    Args:
        trained: folder of the baseline.
        artefacts: folder of our model: the files of `PACKAGED`.
        folder: where to write.
    """
    secret = (trained / SECRET_FILE).read_text()
    environment = {**_QUIET_PYCARET, SECRET_VARIABLE: secret, "PYTHONPATH": str(ROOT)}
    baseline = _configure(folder / "baseline.yaml", "benchmarks.baseline.model.BaselineModel", folder=str(trained))
    key = sp.SigningKey.generate()
    package = sp.build_package(
        folder / package_name(PARAMETERS_VERSION), files={name: artefacts / name for name in PACKAGED}
    )
    sp.sign_package(
        package, key=key, name=MODEL_NAME, version=__version__, parameters_version=PARAMETERS_VERSION, serial=1
    )
    ours = _configure(
        folder / "ours.yaml",
        "diabetes_risk_model.prediction.model.DiabetesRiskModel",
        model_parameters_version=PARAMETERS_VERSION,
        model_files_bucket=folder.as_uri(),
        parameters_verification_keys=[str(key.verification_key)],
        minimum_serial=1,
        engine="onnx",
    )
    return [
        Service(BASELINE, "rest_model_service.main:app", baseline, "baseline", environment),
        Service("ours, rest_model_service", "rest_model_service.main:app", ours, MODEL_NAME),
        Service(OURS, "diabetes_risk_model.service.main:app", ours, MODEL_NAME),
    ]


def _configure(path: Path, class_path: str, **configuration: object) -> Path:
    model = {"class_path": class_path, "create_endpoint": True, "configuration": configuration}
    path.write_text(yaml.safe_dump({"service_title": "Benchmark", "models": [model]}))
    return path


def predict(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to one request."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def measure(
    service: Service, bodies: Sequence[Mapping[str, Any]], *, starts: int, seconds: int
) -> tuple[Measurement, list[dict[str, Any]]]:
    """Start a service several times, load it once, and return the measurement (median of the starts) and its answers.

    Args:
        service: what to measure.
        bodies: of the requests, in turn.
        starts: how many times it is started.
        seconds: how long it is loaded.
    """
    ready: list[float] = []
    with step(service.name) as progress:
        for number in range(1, starts + 1):
            progress.update(f"start {number} of {starts}")
            process = ServiceProcess(
                service.app, service.config, service.environment, arguments=["--no-access-log"], seconds=120
            )
            with process:
                ready.append(process.ready_seconds)
                if number < starts:
                    continue
                url = f"{process.url}/api/models/{service.model}/prediction"
                answers = [predict(url, body) for body in bodies]
                idle = process.resident_megabytes()
                progress.update(f"under load for {seconds} s")
                load = post(url, bodies, seconds=seconds)
                loaded = process.resident_megabytes()
    return Measurement(statistics.median(ready), idle, loaded, load), answers


def compare_answers(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    """Raise LoadError unless two services gave the same answers: labels equal, probabilities within 1e-6."""
    for number, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
        apart = abs(one["probability"] - other["probability"])
        if one["diabetes_risk"] != other["diabetes_risk"] or apart > _SAME_PROBABILITY:
            raise LoadError(f"The services do not serve the same model: answer {number} is {one} and {other}.")


def print_table(measured: Mapping[str, Measurement]) -> None:
    """Print the measurements, each with its ratio to the baseline's: how many times as fast, or as small."""
    baseline = measured[BASELINE]
    table = Table(title="One process, 8 connections; in brackets: times better than the baseline")
    for heading in ("service", "ready (s)", "idle (MB)", "loaded (MB)", "requests/s", "p50 (ms)", "p99 (ms)"):
        table.add_column(heading, justify="left" if heading == "service" else "right", no_wrap=True)
    for name, one in measured.items():
        table.add_row(
            name,
            f"{one.ready:.2f} ({baseline.ready / one.ready:.1f}x)",
            f"{one.idle:.0f} ({baseline.idle / one.idle:.1f}x)",
            f"{one.loaded:.0f} ({baseline.loaded / one.loaded:.1f}x)",
            f"{one.load.requests_per_second:,.0f} "
            f"({one.load.requests_per_second / baseline.load.requests_per_second:.1f}x)",
            f"{one.load.p50:.1f} ({baseline.load.p50 / one.load.p50:.1f}x)",
            f"{one.load.p99:.1f} ({baseline.load.p99 / one.load.p99:.1f}x)",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def missed_targets(measured: Mapping[str, Measurement]) -> list[str]:
    """Return what our own application does not reach, one sentence each."""
    floor = TIMES_THE_BASELINE * measured[BASELINE].load.requests_per_second
    ours = measured[OURS]
    missed = []
    if ours.ready > READY_SECONDS:
        missed.append(f"{OURS}: ready in {ours.ready:.2f} s; expected at most {READY_SECONDS:g} s.")
    if ours.loaded > RESIDENT_MEGABYTES:
        missed.append(f"{OURS}: {ours.loaded:.0f} MB resident; expected at most {RESIDENT_MEGABYTES:g} MB.")
    if ours.load.requests_per_second < floor:
        missed.append(f"{OURS}: {ours.load.requests_per_second:,.0f} requests/s; expected at least {floor:,.0f}.")
    return missed


def main() -> int:
    """Measure, print, and return 1 where a target is missed, 2 where a service fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "benchmarks" / "serving", help="of the models")
    parser.add_argument("--source", default="auto", help="survey: auto, kaggle, embedded, or a path (default: auto)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows to train on, where a model must be trained")
    parser.add_argument("--artefacts", type=Path, help="serve the model of this folder instead of the baseline's own")
    parser.add_argument("--starts", type=int, default=3, help="starts of each service; their median counts")
    parser.add_argument("--seconds", type=int, default=10, help="load on each service")
    options = parser.parse_args()
    bodies = bodies_of(DiabetesRiskModelInput.model_json_schema(), _BODIES)
    measured: dict[str, Measurement] = {}
    answers: list[list[dict[str, Any]]] = []
    try:
        require_wrk()
        build_baseline(options.folder, options.source, options.rows)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            artefacts = options.artefacts or options.folder
            for service in services(options.folder.resolve(), artefacts, Path(folder).resolve()):
                measured[service.name], given = measure(service, bodies, starts=options.starts, seconds=options.seconds)
                answers.append(given)
        for given in answers[2 if options.artefacts else 1 :]:
            compare_answers(answers[1 if options.artefacts else 0], given)
    except (LoadError, ServiceError, sp.SignedParametersError) as error:
        print(error, file=sys.stderr)
        return 2
    print_table(measured)
    missed = missed_targets(measured)
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
