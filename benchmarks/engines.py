"""Measure the engines with the same model, without HTTP: `python -m benchmarks.engines FOLDER`.

FOLDER holds what training wrote. Each engine runs in a process of its own, which imports it, verifies and loads the
package, and then answers one row at a time, and batches of 10,000 rows, as JSON and as CSV. Times are the process's
own, so that they change little with what else the machine does. Nothing here has to be reached. What is not measured
is imported where it is needed, because the time of the imports is measured too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ENGINES = ("table", "onnx", "pickle")
_ROUNDS = 20
_CALLS = 1_000


@dataclass(frozen=True)
class Measured:
    """An engine's figures.

    Attributes:
        load_seconds: to import the model's class, and to verify and load the package.
        megabytes: resident memory when it is loaded, in 10^6 bytes. Linux only.
        microseconds: for one row, of `DiabetesRiskModel.predict`'s engine alone.
        json_rows_per_second: from a batch's body to the answer's.
        csv_rows_per_second: likewise.
    """

    load_seconds: float
    megabytes: float
    microseconds: float
    json_rows_per_second: float
    csv_rows_per_second: float


def measure(settings: dict[str, object]) -> Measured:
    """Load the model in this process, which should be a new one, and measure it."""
    started = time.process_time()
    from diabetes_risk_model.prediction.encoding import encode
    from diabetes_risk_model.prediction.model import DiabetesRiskModel

    model = DiabetesRiskModel(**settings)
    load_seconds = time.process_time() - started
    status = Path("/proc/self/status").read_text().splitlines()
    kibibytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    from benchmarks.batches import ROWS, batch_bodies
    from diabetes_risk_model.service.rows import columns_of, from_csv, from_json

    (_, as_json), (_, as_csv) = batch_bodies(ROWS).values()
    given, columns = as_json.encode(), columns_of(model.input_schema)
    row = encode(model.input_schema(**json.loads(as_json)[0]))
    table = as_csv.encode()
    return Measured(
        load_seconds,
        kibibytes * 1024 / 1e6,
        _seconds(lambda: [model._engine.probability(row) for _ in range(_CALLS)]) / _CALLS * 1e6,
        ROWS / _seconds(lambda: model.predict_batch(from_json(given, ROWS)).to_json()),
        ROWS / _seconds(lambda: model.predict_batch(from_csv(table, columns, ROWS)).to_json()),
    )


def _seconds(work: Callable[[], object]) -> float:
    """Return the least time of some rounds: what the work takes when nothing comes between."""
    times = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def measure_apart(settings: dict[str, object]) -> Measured:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engines", "--settings", json.dumps(settings)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Measured(**json.loads(done.stdout))


def print_table(measured: dict[str, Measured]) -> None:
    """Print a line for each engine."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Engines, without HTTP; batches of 10,000 rows")
    for heading in ("engine", "load, s", "resident, MB", "one row, µs", "JSON, rows/s", "CSV, rows/s"):
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
    for engine, figures in measured.items():
        table.add_row(
            engine,
            f"{figures.load_seconds:.2f}",
            f"{figures.megabytes:.0f}",
            f"{figures.microseconds:.2f}",
            f"{figures.json_rows_per_second:,.0f}",
            f"{figures.csv_rows_per_second:,.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> int:
    """Measure and print. Return the exit status: 0 done, 2 the folder holds no trained model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", type=Path, nargs="?", help="what training wrote, with all three models")
    what.add_argument("--settings", help="of one model, as JSON: measure it in this process")
    options = parser.parse_args()
    if options.settings is not None:
        print(json.dumps(asdict(measure(json.loads(options.settings)))))
        return 0
    from diabetes_risk_model.packaging import package_parameters, trained_files
    from signed_parameters import SignedParametersError, SigningKey

    try:
        with tempfile.TemporaryDirectory() as folder:
            key = SigningKey.generate()
            files, version = trained_files(options.folder)
            package_parameters(files, Path(folder), key=key, parameters_version=version, serial=1)
            settings = {
                "model_parameters_version": version,
                "model_files_bucket": Path(folder).as_uri(),
                "parameters_verification_keys": [str(key.verification_key)],
            }
            print_table({engine: measure_apart({**settings, "engine": engine}) for engine in ENGINES})
    except SignedParametersError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
