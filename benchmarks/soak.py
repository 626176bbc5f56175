"""Mixed good and bad load for minutes, at a share of what the service can do: `python -m benchmarks.soak`.

Nine in ten requests are to be served, and their answers are compared, byte by byte, with those of the same package
loaded in this process, whose model is compared with the scikit-learn pipeline first. The others are malformed, too
large, of another type, or for paths that are not there. Beside them clients drip their bodies, and break off.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.batches import to_csv
from benchmarks.load import LoadError, bodies_of, require_wrk
from benchmarks.mixed_load import Case, Checked, send
from benchmarks.services import (
    ENGINES,
    OUR_APPLICATION,
    SAME_PROBABILITY,
    TRAINED,
    build_baseline,
    model_settings,
    our_configuration,
)
from benchmarks.slow_clients import SlowClients
from diabetes_risk_model.prediction.encoding import encode_plain
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.parameters import MODEL_NAME, fetch_parameters
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.progress import step
from diabetes_risk_model.service.process import ServiceError, ServiceProcess

GROWN_MEGABYTES = 2.0
_PATH = f"/api/models/{MODEL_NAME}/prediction"
_LIMITS = {"prediction_bytes": 16_384, "batch_bytes": 4_194_304, "batch_rows": 10_000, "body_seconds": 2.0}
_JSON, _CSV = (("Content-Type", "application/json"),), (("Content-Type", "text/csv"),)
_GOOD, _BATCH_ROWS, _BATCH_EVERY = 900, 200, 100
_SAMPLES_A_SECOND = 2
_WARM = 0.2


@dataclass(frozen=True)
class Soak:
    """What came of it.

    Attributes:
        capacity: requests per second that the mixture reaches without a limit.
        rate: that were aimed at.
        checked: the answers.
        slow: statuses that the slow clients got, each with how often.
        before: resident memory after the first fifth of the time, in megabytes (10^6 bytes).
        after: median of its last fifth.
        tracebacks: lines of the service's log that begin one.
    """

    capacity: float
    rate: float
    checked: Checked
    slow: dict[str, int]
    before: float
    after: float
    tracebacks: int


def cases_of(model: DiabetesRiskModel) -> list[Case]:
    """Return the mixture, with the model's own answers: nine in ten are to be served."""
    people = bodies_of(DiabetesRiskModelInput.model_json_schema(), _GOOD, seed=1)
    cases = []
    for number, person in enumerate(people):
        answer = model.answer_plain(person)
        assert answer is not None
        cases.append(Case("a person", "POST", _PATH, _JSON, json.dumps(person), 200, answer.content.decode()))
        if number % _BATCH_EVERY == 0:
            rows = people[number : number + _BATCH_ROWS] or people
            expected = model.predict_batch(rows).to_json().decode()
            cases.append(Case("a batch", "POST", f"{_PATH}s", _JSON, json.dumps(rows), 200, expected))
            cases.append(Case("a batch of CSV", "POST", f"{_PATH}s", _CSV, to_csv(rows), 200, expected))
        if number % (_GOOD // 10) == 0:
            cases += _refused()
    return cases


def _refused() -> list[Case]:
    large = json.dumps({"general_health": "x" * _LIMITS_BYTES})
    return [
        Case("not JSON", "POST", _PATH, _JSON, '{"age": ', 400),
        Case("a field twice", "POST", _PATH, _JSON, '{"age": null, "age": "FROM_80"}', 400),
        Case("NaN", "POST", _PATH, _JSON, '{"body_mass_index": NaN}', 400),
        Case("an unknown field", "POST", _PATH, _JSON, '{"weight": 80}', 400),
        Case("out of range", "POST", _PATH, _JSON, '{"body_mass_index": 1e9}', 400),
        Case("nested deeply", "POST", _PATH, _JSON, "[" * 5_000, 400),
        Case("a batch that is none", "POST", f"{_PATH}s", _JSON, "3", 400),
        Case("another type", "POST", _PATH, (("Content-Type", "text/plain"),), "{}", 415),
        Case("too large", "POST", _PATH, _JSON, large, 413),
        Case("an unknown path", "GET", "/nothing", (), "", 404),
    ]


_LIMITS_BYTES = int(_LIMITS["prediction_bytes"])


def check_offline(model: DiabetesRiskModel, configuration: Path) -> None:
    """Raise LoadError unless the model's answers are those of the scikit-learn pipeline in the same package."""
    with fetch_parameters(Settings.from_keywords(model_settings(configuration))) as package:
        pipeline = package.load_pickle("model.pkl")
    people = bodies_of(DiabetesRiskModelInput.model_json_schema(), _GOOD, seed=1)
    rows = [row for row in map(encode_plain, people) if row is not None]
    found = [float(model.predict(DiabetesRiskModelInput(**person)).probability) for person in people]
    apart = np.abs(pipeline.predict_proba(np.array(rows))[:, 1] - np.array(found)).max()
    if not apart <= SAME_PROBABILITY:
        raise LoadError(f"The engine's answers differ from the pipeline's by {apart:.2g}.")


def soak(configuration: Path, *, seconds: int, share: float) -> Soak:
    """Serve a configuration, measure what the service can do, and load it with a share of that.

    Raises:
        LoadError: the load could not be made, or the engine answers other than the pipeline.
    """
    model = DiabetesRiskModel(**model_settings(configuration))
    check_offline(model, configuration)
    cases = cases_of(model)
    with ServiceProcess(OUR_APPLICATION, configuration, arguments=["--no-access-log"]) as process:
        with step("Measure the capacity"):
            first = send(process.url, cases, seconds=max(2, seconds // 20), rate=1e9)
            capacity = (first.right + first.wrong + first.unexpected) / first.microseconds * 1e6
        memory = _Memory(process)
        with step(f"{share:.0%} of {capacity:,.0f} requests/s, for {seconds} s"):
            with memory, SlowClients(process.url, _PATH) as slow:
                checked = send(process.url, cases, seconds=seconds, rate=share * capacity)
            log = process.log()
    return Soak(
        capacity, share * capacity, _joined(first, checked), dict(slow.statuses), *memory.ends(), log.count("Traceback")
    )


def _joined(first: Checked, then: Checked) -> Checked:
    return replace(
        then,
        right=first.right + then.right,
        wrong=first.wrong + then.wrong,
        failed=first.failed + then.failed,
        unexpected=first.unexpected + then.unexpected,
        broken=first.broken + then.broken,
        example=then.example or first.example,
    )


class _Memory:
    """Reads the resident memory of a service in a thread, from entry to exit."""

    def __init__(self, process: ServiceProcess) -> None:
        self._process = process
        self._samples: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def ends(self) -> tuple[float, float]:
        """Return the medians of the second and of the last fifth; the first fifth warms up."""
        fifth = max(1, int(len(self._samples) * _WARM))
        return statistics.median(self._samples[fifth : 2 * fifth + 1]), statistics.median(self._samples[-fifth:])

    def _watch(self) -> None:
        while not self._ended.wait(1 / _SAMPLES_A_SECOND):
            self._samples.append(self._process.resident_megabytes())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def missed_targets(found: Soak) -> list[str]:
    """Return what went wrong, one sentence each."""
    checked = found.checked
    counts = {
        "answers with the status 500": checked.failed,
        "wrong answers": checked.wrong,
        "answers with another status than expected": checked.unexpected,
        "broken connections": checked.broken,
        "tracebacks in the log": found.tracebacks,
        "slow clients without their 408": sum(n for status, n in found.slow.items() if status != "408"),
    }
    missed = [f"{number:,} {what}; expected none." for what, number in counts.items() if number]
    if checked.example:
        missed.append(f"For example, {checked.example}")
    if not found.slow:
        missed.append("No slow client was answered; expected some.")
    if found.after - found.before > GROWN_MEGABYTES:
        missed.append(f"Memory grew by {found.after - found.before:.1f} MB; expected at most {GROWN_MEGABYTES:g} MB.")
    return missed


def print_table(found: Soak) -> None:
    """Print what came of it."""
    checked = found.checked
    slow = ", ".join(f"{number} got {status}" for status, number in sorted(found.slow.items()))
    table = Table(title="Mixed good and bad load", show_header=False)
    for name, value in (
        ("capacity, requests/s", f"{found.capacity:,.0f}"),
        ("rate aimed at, requests/s", f"{found.rate:,.0f}"),
        ("answers", f"{checked.right + checked.wrong + checked.unexpected:,}"),
        ("  as they must be", f"{checked.right:,}"),
        ("  wrong", f"{checked.wrong:,}"),
        ("  another status", f"{checked.unexpected:,}"),
        ("  500", f"{checked.failed:,}"),
        ("broken connections", f"{checked.broken:,}"),
        ("slow clients", slow or "none"),
        ("p50, p99 (ms)", f"{checked.p50 / 1000:.2f}, {checked.p99 / 1000:.2f}"),
        ("resident memory (MB)", f"{found.before:.1f}, at the end {found.after:.1f}"),
    ):
        table.add_row(name, value)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print, and return 1 where a target is missed, 2 where it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--share", type=float, default=0.8, help="of the capacity (default: 0.8)")
    parser.add_argument("--folder", type=Path, default=TRAINED, help="of the models")
    parser.add_argument("--source", default="auto", help="survey: auto, kaggle, embedded, or a path (default: auto)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows to train on, where a model must be trained")
    parser.add_argument("--engine", choices=ENGINES, default="table", help="of our model (default: table)")
    options = parser.parse_args(arguments)
    try:
        require_wrk()
        build_baseline(options.folder, options.source, options.rows)
        with tempfile.TemporaryDirectory() as folder:
            settings = {"limits": _LIMITS, "metrics": {"enabled": True}}
            configuration = our_configuration(options.folder, Path(folder), options.engine, **settings)
            found = soak(configuration, seconds=max(5, round(60 * options.minutes)), share=options.share)
    except (LoadError, ServiceError, sp.SignedParametersError) as error:
        print(error, file=sys.stderr)
        return 2
    print_table(found)
    missed = missed_targets(found)
    print("\n".join(missed) if missed else "Every target is reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
