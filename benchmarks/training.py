"""Measure pycaret's calls with our settings against the same calls with pycaret's defaults, in one run on this machine.

`python -m benchmarks.training --source PATH` takes every row and the full profile, and much longer than the training
itself, because the defaults are slow. `--rows`, `--folds`, `--iterations` and `--calls` make it shorter. The defaults
start worker processes (n_jobs=-1), ours works in one process and reuses what it has fitted. On all rows of the real
survey the scores are the same. On fewer rows they need not be, because the defaults then select other columns in some
folds.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from diabetes_risk_model.data.columns import TARGET
from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.data.sources import Survey, load_survey
from diabetes_risk_model.progress import step
from diabetes_risk_model.training.errors import TrainingError
from diabetes_risk_model.training.profiles import FULL, Profile
from diabetes_risk_model.training.quiet import LOG_PATH, import_pycaret, pycaret_call, quiet
from diabetes_risk_model.training.train import ESTIMATOR, OPTIMIZED, SETTINGS, prepare

TIMES_FASTER = 3.0
CALLS = ("create_model", "compare_models", "tune_model")


@dataclass(frozen=True)
class Call:
    """One call of pycaret: how long it took, in seconds, and the best mean F1 that it found."""

    seconds: float
    score: float


def run_calls(experiment: Any, profile: Profile, calls: Sequence[str], name: str) -> dict[str, Call]:
    """Make each call once, one after the other.

    Args:
        experiment: pycaret's experiment, set up.
        profile: which candidates, and how many sets of hyperparameters.
        calls: of `CALLS`.
        name: of the settings, for the progress.
    """
    actions: dict[str, Callable[[], Any]] = {
        "create_model": lambda: experiment.create_model(ESTIMATOR, verbose=False),
        "compare_models": lambda: experiment.compare_models(
            include=list(profile.candidates), sort=OPTIMIZED, verbose=False
        ),
        "tune_model": lambda: experiment.tune_model(
            experiment.create_model(ESTIMATOR, cross_validation=False, verbose=False),
            optimize=OPTIMIZED,
            n_iter=profile.tuning_iterations,
            tuner_verbose=False,
            verbose=False,
        ),
    }
    results = {}
    for call in calls:
        # pycaret catches what its worker processes print; they would also leave a log file in the current folder.
        with step(f"{call}, {name}") as running, quiet(), patch.dict(os.environ, {LOG_PATH: os.devnull}):
            started = time.perf_counter()
            actions[call]()
            seconds = time.perf_counter() - started
            table = experiment.pull()
            score = table[OPTIMIZED].iloc[0] if call == "compare_models" else table[OPTIMIZED]["Mean"]
            results[call] = Call(seconds, float(score))
            running.note(f"{OPTIMIZED} {results[call].score:.4f}")
    return results


def with_defaults(survey: Survey, profile: Profile, seed: int) -> Any:
    """Set up pycaret as `prepare` does, but with its own defaults for the processes and for the selection."""
    module = import_pycaret()
    experiment = module.ClassificationExperiment()
    settings = {**SETTINGS, "n_jobs": -1}
    with pycaret_call():
        experiment.setup(
            survey.frame,
            **settings,
            session_id=seed,
            fold=profile.folds,
            html=False,
            system_log=False,
            verbose=False,
        )
    return experiment


def report(console: Console, ours: dict[str, Call], defaults: dict[str, Call]) -> bool:
    """Print both sides, and say whether the calls together are as many times faster as they should be."""
    table = Table("call", "defaults, s", "ours, s", "ratio", f"{OPTIMIZED}, defaults", f"{OPTIMIZED}, ours")
    for call, mine in ours.items():
        theirs = defaults[call]
        table.add_row(
            call,
            f"{theirs.seconds:.1f}",
            f"{mine.seconds:.1f}",
            f"{theirs.seconds / mine.seconds:.1f}",
            f"{theirs.score:.4f}",
            f"{mine.score:.4f}",
        )
    ratio = sum(call.seconds for call in defaults.values()) / sum(call.seconds for call in ours.values())
    table.add_section()
    table.add_row("together", "", "", f"{ratio:.1f}", "", "")
    console.print(table)
    reached = ratio >= TIMES_FASTER
    console.print(f"{ratio:.1f} times faster; at least {TIMES_FASTER:.0f} times: {'yes' if reached else 'NO'}")
    return reached


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 0 if the target is reached, 1 if not, 2 if the survey cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--source", default="auto", help="auto, kaggle, embedded, or the path of the CSV file")
    parser.add_argument("--rows", type=int, help="take so many rows of it; all without this")
    parser.add_argument("--folds", type=int, default=FULL.folds, help="cross-validation folds (%(default)s)")
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=CALLS, help="which calls (all)")
    parser.add_argument(
        "--iterations",
        type=int,
        default=FULL.tuning_iterations,
        help="sets of hyperparameters that tune_model tries, each of which costs as many fits as there are folds "
        "(%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=42, help="of every random choice (%(default)s)")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    profile = replace(FULL, folds=options.folds, tuning_iterations=options.iterations)
    try:
        survey = load_survey(options.source, rows=options.rows, seed=options.seed)
        console.print(f"{survey.description}; target {TARGET.name}, {profile.folds} folds")
        mine = prepare(survey, profile, options.seed)
    except (DataError, TrainingError) as error:
        console.print(f"error: {error}", markup=False)
        return 2
    with mine.call():
        ours = run_calls(mine.pycaret, profile, options.calls, "ours")
    defaults = run_calls(with_defaults(survey, profile, options.seed), profile, options.calls, "pycaret's defaults")
    return 0 if report(console, ours, defaults) else 1


if __name__ == "__main__":
    raise SystemExit(main())
