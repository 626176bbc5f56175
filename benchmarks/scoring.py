"""Measure batch scoring: `python -m benchmarks.scoring`.

Rows of random answers are scored in memory by one process; then from Parquet to Parquet by one worker, and by two; and
by pandas with the same model: as the reduced scikit-learn pipeline, and as the whole pickled pycaret pipeline, which
are slower and so get fewer rows. Processor time hardly changes with what else the machine does; the time on the wall
does. A target that is missed makes the status 1; they are meant for the default number of rows.
"""

import argparse
import json
import os
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client

from benchmarks.baseline.build import build
from benchmarks.baseline.model import SECRET_FILE, SECRET_VARIABLE, SIGNED_PICKLE, BaselineModel
from benchmarks.resources import family_megabytes
from diabetes_risk_model.data.columns import FEATURES
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.scoring.cluster import workers_of_this_machine
from diabetes_risk_model.scoring.columns import find_forms
from diabetes_risk_model.scoring.lookup import Lookup
from diabetes_risk_model.scoring.run import Wanted, score
from signed_parameters import SigningKey

FOLDER = Path("build/benchmarks/serving")
IN_MEMORY_ROWS_PER_SECOND = 2_000_000
PARQUET_ROWS_PER_SECOND = 0.6 * IN_MEMORY_ROWS_PER_SECOND
SPEED_UP = 1.8
MEGABYTES = 1_500

_CHUNK_ROWS = 1 << 20
_BATCH_ROWS = 1 << 17
_PIPELINE_ROWS = 200_000
_SAMPLE_SECONDS = 0.1
_ROUNDS = 3
_FILES = ("model.pkl", "model.onnx", "model.table", "manifest.json")


@dataclass(frozen=True)
class Run:
    """How a file was scored: the least of some rounds, as whatever else the machine does can only take longer.

    Attributes:
        seconds: on the wall, from the verification to the output.
        processor_seconds: of all processes.
        longest_seconds: processor time of the busiest worker and of the process that puts the output together, one
            after the other: what the run takes where nothing else wants the processors.
        megabytes: most memory that all processes held together, in 10^6 bytes.
    """

    seconds: float
    processor_seconds: float
    longest_seconds: float
    megabytes: float


def write_rows(path: Path, rows: int) -> None:
    """Write random answers as the survey codes them, body mass indices to a tenth."""
    numbers = np.random.default_rng(1)
    writer = None
    for start in range(0, rows, _CHUNK_ROWS):
        count = min(_CHUNK_ROWS, rows - start)
        columns: dict[str, Any] = {"BMI": np.round(numbers.uniform(15, 60, count), 1)}
        columns |= {name: numbers.integers(1, n + 1, count) for name, n in (("GenHlth", 5), ("Age", 13), ("Income", 8))}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def in_memory(table: Table, source: Path) -> float:
    """Return how many rows a processor second scores, from arrays to arrays."""
    batches = list(pq.ParquetFile(source).iter_batches(_BATCH_ROWS, row_groups=[0]))
    lookup = Lookup(table, find_forms(batches[0].schema.names, str(source)))
    columns = [{name: batch.column(name) for name in batch.schema.names} for batch in batches]
    rows = sum(map(len, batches))

    def once() -> None:
        for each in columns:
            lookup.cells[lookup.locate(each).places]

    return rows / min(_processor_seconds(once) for _ in range(5))


def by_workers(configuration: Mapping[str, object], source: Path, folder: Path, workers: int) -> Run:
    """Score a file with so many workers, which have loaded the model before."""
    write_rows(folder / "warm.parquet", 10_000 * workers)
    with workers_of_this_machine(workers) as client:

        def run(path: Path) -> None:
            wanted = Wanted(str(path), str(folder / "scores.parquet"), configuration, overwrite=True)
            score(wanted, nullcontext(client))

        run(folder / "warm.parquet")
        timed = [_timed(client, lambda: run(source)) for _ in range(_ROUNDS)]
        with _watched_memory() as megabytes:  # afterwards, as it takes processor time
            run(source)
    seconds, processor_seconds, longest = (min(column) for column in zip(*timed, strict=True))
    return Run(seconds, processor_seconds, longest, max(megabytes))


def _timed(client: Client, work: Callable[[], object]) -> tuple[float, float, float]:
    """Return the seconds of a `Run`."""
    before, own, started = client.run(time.process_time), time.process_time(), time.perf_counter()
    work()
    seconds, own = time.perf_counter() - started, time.process_time() - own
    after = client.run(time.process_time)
    used = [after[worker] - before[worker] for worker in before]
    return seconds, own + sum(used), own + max(used)


def by_pandas(predict: Callable[[Any], Any], names: Mapping[str, str], source: Path, folder: Path, rows: int) -> float:
    """Return how many rows a processor second scores with pandas, from Parquet to Parquet.

    Args:
        predict: takes a data frame, and returns probabilities of shape (n, 2).
        names: what the columns are called in training.
        source: the rows.
        folder: for the output.
        rows: how many of the rows.
    """
    import pandas as pd

    some = pq.ParquetFile(source).read_row_group(0).slice(0, rows)
    pq.write_table(some, folder / "some.parquet")

    def once() -> None:
        frame = pd.read_parquet(folder / "some.parquet").rename(columns=dict(names))
        probability = predict(frame)[:, 1]
        risk = np.where(probability > 0.5, "DIABETES", "NO_DIABETES")
        pd.DataFrame({"risk": risk, "probability": probability}).to_parquet(folder / "pandas.parquet")

    return len(some) / min(_processor_seconds(once) for _ in range(2))


def _reduced(artefacts: Path) -> Callable[[Any], Any]:
    pipeline = pickle.loads((artefacts / "model.pkl").read_bytes())
    return lambda frame: pipeline.predict_proba(frame[list(INPUT_COLUMNS)].to_numpy(np.float64))


def _whole(folder: Path) -> Callable[[Any], Any]:
    os.environ[SECRET_VARIABLE] = (folder / SECRET_FILE).read_text()
    pipeline = BaselineModel(str(folder))._pipeline
    return lambda frame: pipeline.predict_proba(frame.reindex(columns=[column.name for column in FEATURES]))


def _processor_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _configuration(artefacts: Path, folder: Path) -> dict[str, object]:
    """Package the model under a new key, and return the configuration that trusts it."""
    key = SigningKey.generate()
    version = json.loads((artefacts / "manifest.json").read_bytes()).get("parameters_version", "benchmark")
    files = {name: artefacts / name for name in _FILES}
    package_parameters(files, folder, key=key, parameters_version=version, serial=1)
    return {
        "model_parameters_version": version,
        "model_files_bucket": folder.as_uri(),
        "parameters_verification_keys": [str(key.verification_key)],
    }


@contextmanager
def _watched_memory() -> Iterator[list[float]]:
    samples, ended = [0.0], threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            samples.append(family_megabytes(os.getpid()))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
    finally:
        ended.set()
        sampler.join()


def main() -> int:
    """Measure and print. Return the exit status: 0 done, 1 a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the model, trained into it if there is none")
    parser.add_argument("--rows", type=int, default=50_000_000, help="rows of the file that is scored")
    parser.add_argument("--pipeline-rows", type=int, default=_PIPELINE_ROWS, help="rows that pandas is given")
    options = parser.parse_args()
    if not (options.folder / SIGNED_PICKLE).is_file():
        build(options.folder)
    table = Table.from_bytes((options.folder / "model.table").read_bytes(), INPUT_COLUMNS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        source = folder / "rows.parquet"
        write_rows(source, options.rows)
        memory = in_memory(table, source)
        configuration = _configuration(options.folder, folder / "packages")
        one, two = (by_workers(configuration, source, folder, workers) for workers in (1, 2))
        names = {"GenHlth": "GeneralHealth"}
        pandas = [
            by_pandas(model(options.folder), names, source, folder, options.pipeline_rows)
            for model in (_reduced, _whole)
        ]
    return report(options.rows, memory, one, two, *pandas)


def report(rows: int, memory: float, one: Run, two: Run, reduced: float, whole: float) -> int:
    """Print what was measured. Return 1 where a target was missed."""
    from rich.console import Console
    from rich.table import Table as Printed

    parquet = rows / one.processor_seconds
    printed = Printed(title=f"Scoring {rows:,} rows; pandas fewer")
    for heading in ("what", "rows per processor second", "against the pycaret pipeline"):
        printed.add_column(heading, justify="left" if heading == "what" else "right")
    for what, speed in (
        ("in memory", memory),
        ("Parquet to Parquet, one worker", parquet),
        ("Parquet to Parquet, two workers", rows / two.processor_seconds),
        ("pandas, reduced pipeline", reduced),
        ("pandas, whole pycaret pipeline", whole),
    ):
        printed.add_row(what, f"{speed:,.0f}", f"{speed / whole:,.0f} x")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(printed)
    faster, alone = one.seconds / two.seconds, one.longest_seconds / two.longest_seconds
    megabytes = max(one.megabytes, two.megabytes)
    console.print(
        f"Two workers are {faster:.2f} times as fast as one on the wall ({one.seconds:.1f} and {two.seconds:.1f} s), "
        f"and {alone:.2f} times by processor time alone. All processes together hold at most {megabytes:,.0f} MB."
    )
    missed = [
        text
        for text, met in (
            (f"{IN_MEMORY_ROWS_PER_SECOND:,} rows per second in memory", memory >= IN_MEMORY_ROWS_PER_SECOND),
            (f"{PARQUET_ROWS_PER_SECOND:,.0f} from Parquet to Parquet", parquet >= PARQUET_ROWS_PER_SECOND),
            (f"two workers {SPEED_UP} times as fast as one", faster >= SPEED_UP),
            (f"{MEGABYTES:,} MB", megabytes <= MEGABYTES),
        )
        if not met
    ]
    for text in missed:
        console.print(f"Missed: {text}.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
