"""Measure batch scoring: `python -m benchmarks.scoring`.

A file of random answers is scored from Parquet to Parquet by one worker, by two, and by one with explanations. Fewer
rows are scored in memory, and by pandas with the same model: as the reduced scikit-learn pipeline, and as the whole
pickled pycaret pipeline. pyarrow alone reads the same rows and writes the same scores: no scoring can be faster than
that. Processor time changes less with what else the machine does than the time on the wall, but it does too. One worker
and two run in turn, and so does a loop that needs nothing but a processor: how much faster two are at that is what the
machine has to give. A target that is missed makes the status 1; they are meant for the default number of rows.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]

from benchmarks.baseline.build import build
from benchmarks.baseline.model import SIGNED_PICKLE
from benchmarks.resources import family_megabytes
from benchmarks.scoring_peers import (
    by_pandas,
    from_frame_to_frame,
    in_memory,
    pyarrow_alone,
    reduced_pipeline,
    whole_pipeline,
    write_rows,
)
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.scoring.model import load_model
from diabetes_risk_model.scoring.processes import MEMORY, Processes, processes_of_this_machine
from diabetes_risk_model.scoring.run import Wanted, score
from signed_parameters import SigningKey

FOLDER = Path("build/benchmarks/serving")
IN_MEMORY_ROWS_PER_SECOND = 2_000_000
PARQUET_ROWS_PER_SECOND = 0.6 * IN_MEMORY_ROWS_PER_SECOND
SPEED_UP = 1.8
MEGABYTES = 1_500

_PIPELINE_ROWS = 200_000
_SAMPLE_SECONDS = 0.1
_ROUNDS = 11
_LOOPS = 2_000_000
_FILES = ("model.pkl", "model.onnx", "model.table", "manifest.json")


@dataclass(frozen=True)
class Speeds:
    """How many rows a processor second takes.

    Attributes:
        memory: looked up in memory, from arrays of codes to an array of probabilities.
        coded_frame: from a data frame of codes to one of risks and probabilities.
        readable_frame: the same, from the texts that the service takes.
        explained: from Parquet to Parquet, with contributions.
        pyarrow: for pyarrow to read the rows and write the scores.
        reduced: by pandas with the reduced pipeline.
        whole: by pandas with the whole pipeline of pycaret.
    """

    memory: float
    coded_frame: float
    readable_frame: float
    explained: float
    pyarrow: float
    reduced: float
    whole: float


@dataclass(frozen=True)
class Run:
    """How a file was scored.

    Attributes:
        rounds: seconds on the wall, from the verification to the output, of each round.
        processor_seconds: of all processes: the least of the rounds, as whatever else the machine does can only take
            longer.
        loops: seconds on the wall for two loops, of each round.
        megabytes: most memory that all processes held together, in 10^6 bytes.
    """

    rounds: list[float]
    processor_seconds: float
    loops: list[float]
    megabytes: float


def by_workers(
    configuration: Mapping[str, object], source: Path, folder: Path, *numbers: int, explained: bool = False
) -> list[Run]:
    """Score a file with each of some numbers of workers, in turn, which have loaded the model before."""

    def run(path: Path, workers: Processes) -> tuple[float, float]:
        output = folder / "scores.parquet"
        wanted = Wanted(str(path), str(output), configuration, explained=explained)
        seconds = _timed(lambda: score(wanted, nullcontext(workers)))
        output.unlink()
        return seconds

    def warm(workers: Processes, number: int) -> Processes:
        write_rows(folder / "warm.parquet", 10_000 * number)
        run(folder / "warm.parquet", workers)
        return workers

    def measure(workers: Processes) -> tuple[float, float, float]:
        return *run(source, workers), _timed(lambda: list(workers.each(_loop, [_LOOPS] * 2)))[0]

    with ExitStack() as started:
        every = [warm(started.enter_context(processes_of_this_machine(number)), number) for number in numbers]
        rounds = [[measure(workers) for workers in every] for _ in range(_ROUNDS)]
    runs = []
    for number, timed in zip(numbers, zip(*rounds, strict=True), strict=True):
        # Afterwards, as it takes processor time, and without the others.
        with processes_of_this_machine(number) as workers, _watched_memory() as megabytes:
            run(source, workers)
        seconds, processor_seconds, loops = (list(column) for column in zip(*timed, strict=True))
        runs.append(Run(seconds, min(processor_seconds), loops, max(megabytes)))
    return runs


def _loop(times: int) -> int:
    """Take a processor's time, and next to no memory."""
    number = 0
    for each in range(times):
        number = (number * 31 + each) & 0xFFFF
    return number


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that work takes, and the processor seconds, of the workers too."""
    before, own, started = _workers_seconds(), time.process_time(), time.perf_counter()
    work()
    seconds, own = time.perf_counter() - started, time.process_time() - own
    return seconds, own + sum(after - before.get(pid, 0.0) for pid, after in _workers_seconds().items())


def _workers_seconds() -> dict[int, float]:
    return {child.pid: sum(child.cpu_times()[:2]) for child in psutil.Process().children()}


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
    if not MEMORY.keys() <= os.environ.keys():  # as the workers have it, so that the same is measured in this process
        command = [sys.executable, "-m", "benchmarks.scoring", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **{name: str(value) for name, value in MEMORY.items()}})
    if not (options.folder / SIGNED_PICKLE).is_file():
        build(options.folder)
    table = Table.from_bytes((options.folder / "model.table").read_bytes(), INPUT_COLUMNS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        source = folder / "rows.parquet"
        write_rows(source, options.rows)
        configuration = _configuration(options.folder, folder / "packages")
        one, two = by_workers(configuration, source, folder, 1, 2)
        (explained,) = by_workers(configuration, source, folder, 1, explained=True)
        started = time.process_time()
        load_model(configuration, explained=True)
        seconds = time.process_time() - started
        names = {"GenHlth": "GeneralHealth"}
        speeds = Speeds(
            in_memory(table, source),
            from_frame_to_frame(table, source, readable=False),
            from_frame_to_frame(table, source, readable=True),
            options.rows / explained.processor_seconds,
            pyarrow_alone(table, source),
            *(
                by_pandas(model(options.folder), names, source, folder, options.pipeline_rows)
                for model in (reduced_pipeline, whole_pipeline)
            ),
        )
    print(f"To explain all {len(table.cells):,} cells of the table takes each worker {seconds:.1f} s, once.")
    return report(options.rows, speeds, one, two)


def report(rows: int, speeds: Speeds, one: Run, two: Run) -> int:
    """Print what was measured. Return 1 where a target was missed."""
    from rich.console import Console
    from rich.table import Table as Printed

    parquet = rows / one.processor_seconds
    printed = Printed(title=f"Scoring {rows:,} rows; fewer in memory, by pyarrow and by pandas")
    for heading in ("what", "rows per processor second", "of it, Parquet to Parquet", "against pycaret"):
        printed.add_column(heading, justify="left" if heading == "what" else "right")
    for what, speed in (
        ("look-up in memory, arrays of codes", speeds.memory),
        ("data frame to data frame, codes", speeds.coded_frame),
        ("data frame to data frame, readable texts", speeds.readable_frame),
        ("Parquet to Parquet, one worker", parquet),
        ("Parquet to Parquet, two workers", rows / two.processor_seconds),
        ("Parquet to Parquet, one worker, --explain", speeds.explained),
        ("pyarrow reads and writes the same, no scoring", speeds.pyarrow),
        ("pandas, reduced pipeline", speeds.reduced),
        ("pandas, whole pycaret pipeline", speeds.whole),
    ):
        printed.add_row(what, f"{speed:,.0f}", f"{parquet / speed:,.0%}", f"{speed / speeds.whole:,.0f} x")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(printed)
    console.print(
        f"Parquet to Parquet is {parquet / IN_MEMORY_ROWS_PER_SECOND:,.0%} of the {IN_MEMORY_ROWS_PER_SECOND:,} rows "
        f"per second that are wanted in memory, and {parquet / speeds.memory:,.0%} of what the look-up reaches there; "
        f"pyarrow alone reaches {speeds.pyarrow / speeds.memory:,.0%} of that."
    )
    faster, loops = _faster(one.rounds, two.rounds), _faster(one.loops, two.loops)
    megabytes = max(one.megabytes, two.megabytes)
    console.print(
        f"Two workers are {median(faster):.2f} times as fast as one ({median(one.rounds):.1f} and "
        f"{median(two.rounds):.1f} s; {min(faster):.2f} to {max(faster):.2f} in {len(faster)} rounds), and "
        f"{median(loops):.2f} times at a loop that needs nothing but a processor ({min(loops):.2f} to "
        f"{max(loops):.2f}). All processes together hold at most {megabytes:,.0f} MB."
    )
    missed = [
        text
        for text, met in (
            (f"{IN_MEMORY_ROWS_PER_SECOND:,} rows per second in memory", speeds.memory >= IN_MEMORY_ROWS_PER_SECOND),
            (f"{PARQUET_ROWS_PER_SECOND:,.0f} from Parquet to Parquet", parquet >= PARQUET_ROWS_PER_SECOND),
            (f"two workers {SPEED_UP} times as fast as one", median(faster) >= SPEED_UP),
            (f"{MEGABYTES:,} MB", megabytes <= MEGABYTES),
        )
        if not met
    ]
    for text in missed:
        console.print(f"Missed: {text}.")
    return int(bool(missed))


def _faster(one: list[float], two: list[float]) -> list[float]:
    return [alone / both for alone, both in zip(one, two, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
