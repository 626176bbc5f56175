"""Runs the whole training, with progress on the terminal, and writes the files that a package carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diabetes_risk_model.drift.training_profile import FILE as TRAINING_PROFILE
from diabetes_risk_model.prediction.table import FILE as TABLE
from diabetes_risk_model.progress import Step, step
from diabetes_risk_model.training import worker
from diabetes_risk_model.training.card import CardFacts, to_html, to_markdown
from diabetes_risk_model.training.distributions import training_profile
from diabetes_risk_model.training.errors import TableError
from diabetes_risk_model.training.evaluate import PLOTS, evaluate
from diabetes_risk_model.training.export import export
from diabetes_risk_model.training.libraries import library_versions
from diabetes_risk_model.training.metrics import gather, plain
from diabetes_risk_model.training.profile import profile_survey
from diabetes_risk_model.training.profiles import Profile, find_profile
from diabetes_risk_model.training.quiet import import_pycaret
from diabetes_risk_model.training.reduce import Reduced, answers, reduce_pipeline, to_pickle
from diabetes_risk_model.training.table import Tabulated, tabulate
from diabetes_risk_model.training.train import (
    OPTIMIZED,
    SELECTED,
    SELECTION_GAIN,
    SETTINGS,
    Trained,
    compare,
    create,
    finalize,
    prepare,
    tune,
)

if TYPE_CHECKING:
    from diabetes_risk_model.data.sources import Survey
    from diabetes_risk_model.training.parallel import Workers


@dataclass(frozen=True)
class Artefacts:
    """The files of a training run.

    Attributes:
        folder: where they are.
        metrics: the content of `metrics.json`.
        files: entry name in the package, such as "plots/auc.png" -> file; exactly what the package holds.
    """

    folder: Path
    metrics: dict[str, Any]
    files: dict[str, Path]


def train(
    survey: Survey,
    folder: Path,
    *,
    profile: str | Profile = "quick",
    seed: int = 42,
    version: str,
    parameters_version: str,
    with_report: bool = True,
    workers: Workers | None = None,
) -> Artefacts:
    """Profile, train, evaluate, reduce, export, and write everything to a folder.

    Args:
        survey: the rows.
        folder: where the files go; made if it is missing. Files of the same names are replaced.
        profile: "quick" or "full".
        seed: of every random choice. The same survey, profile, seed and libraries give the same model and metrics.
        version: of the model's code, for the card and the manifest.
        parameters_version: of this training run, for the card and the manifest.
        with_report: whether to write `profile.html`.
        workers: of a cluster, which cross-validate with the same scores; None for this process.

    Raises:
        TrainingError: if there are too few rows, if training keeps other columns than the service asks for, or if the
            reduced or the exported model answers differently from the trained one.
        ConfigurationError: the workers are not fit for it.
        Unavailable: the cluster went away.
    """
    profile = find_profile(profile)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    report = None
    if workers is not None:
        workers.start()
        if with_report:
            report = workers.begin(worker.report, worker.pack(survey), profile.report_rows, seed)
    elif with_report:
        with step("Profile the survey") as running:
            files["profile.html"] = folder / "profile.html"
            profile_survey(survey, files["profile.html"], rows=profile.report_rows, seed=seed)
            running.note(f"{len(survey.frame):,} rows from source {survey.source}")
    with step("Load pycaret"):
        import_pycaret()
    if workers is not None:
        with step("Check the workers") as running:
            running.note(f"{_count(workers.check(), 'worker')} with the same libraries")
    with step("Prepare: remove outliers, scale, select columns") as running:
        experiment = prepare(survey, profile, seed, workers)
        running.note(f"{experiment.rows:,} rows, {', '.join(column.name for column in SELECTED)}")
    with _cross_validating(
        workers, f"Compare {_count(len(profile.candidates), 'candidate')}, {profile.folds} folds"
    ) as running:
        compared = compare(experiment)
        running.note(f"best {OPTIMIZED}: {compared.iloc[0]['Model']}, {compared.iloc[0][OPTIMIZED]:.4f}")
    if workers is not None and report is not None:
        with step("Profile the survey") as running:
            files["profile.html"] = _write(folder / "profile.html", workers.end(report))
            running.note("a worker did, meanwhile")
    with _cross_validating(workers, f"Train gradient boosting, {profile.folds} folds") as running:
        created = create(experiment)
        running.note(_describe(created))
    with _cross_validating(
        workers, f"Tune it, {_count(profile.tuning_iterations, 'set')} of hyperparameters"
    ) as running:
        tuned = tune(experiment, created)
        running.note(_describe(tuned) + ("" if tuned.kept else "; not better, the defaults stay"))
    with _cross_validating(workers, "Evaluate on held-out rows, draw plots") as running:
        evaluation = evaluate(experiment, tuned, folder / "plots", report=running.update)
        running.note(f"AUC {evaluation.scores['AUC']:.4f}, {len(PLOTS)} plots")
    files.update({f"plots/{path.name}": path for path in evaluation.plots.values()})
    with step("Fit the final pipeline to all rows"):
        pipeline = finalize(experiment, tuned)
    with step("Reduce it to plain scikit-learn, check every row") as running:
        reduced = reduce_pipeline(pipeline, survey.frame)
        files["model.pkl"] = _write(folder / "model.pkl", to_pickle(reduced.pipeline))
        running.note(f"equal on {reduced.agreement.rows:,} rows")
    with step("Export to ONNX, check every row") as running:
        exported = export(reduced, survey.frame)
        files["model.onnx"] = _write(folder / "model.onnx", exported.content)
        running.note(f"probabilities within {exported.agreement.largest_difference:.1e}")
    with step("Write it down as a table, check every cell") as running:
        tabulated = _tabulate(reduced, survey, running)
        files.update(write_table(tabulated, folder))
    with step("Count the rows, for later drift checks"):
        rows = survey.frame[[column.name for column in SELECTED]].to_numpy(dtype=float)
        counted = training_profile(survey.frame, SELECTED, answers(reduced.pipeline, rows).probabilities[:, 1])
        files[TRAINING_PROFILE] = _write(folder / TRAINING_PROFILE, counted.to_bytes())
    with step("Write the metrics and the model card") as running:
        metrics = gather(
            experiment, compared, created, tuned, evaluation, reduced.agreement, exported.agreement, tabulated
        )
        facts = CardFacts(
            version, parameters_version, profile.name, seed, survey.manifest(), SELECTED, metrics, evaluation.plots
        )
        markdown = to_markdown(facts)
        files["card.md"] = _write(folder / "card.md", markdown.encode())
        files["card.html"] = _write(folder / "card.html", to_html(markdown, evaluation.plots).encode())
        files["metrics.json"] = _write_json(folder / "metrics.json", metrics)
        files["manifest.json"] = _write_json(folder / "manifest.json", manifest(facts, profile))
        running.note(f"{len(files)} files")
    return Artefacts(folder, metrics, dict(sorted(files.items())))


def write_table(tabulated: Tabulated | None, folder: Path) -> dict[str, Path]:
    """Write the table, where there is one. Where there is none, one of an earlier run, of another model, goes."""
    path = folder / TABLE
    if tabulated is None:
        path.unlink(missing_ok=True)
        return {}
    return {TABLE: _write(path, tabulated.content)}


def manifest(facts: CardFacts, profile: Profile) -> dict[str, Any]:
    """Describe what the model was made from: data, seed, settings, inputs and library versions."""
    return {
        "version": facts.version,
        "parameters_version": facts.parameters_version,
        "data": dict(facts.survey),
        "seed": facts.seed,
        "profile": asdict(profile),
        "settings": {**plain(SETTINGS), "selection_gain": SELECTION_GAIN, "optimize": OPTIMIZED},
        "columns": [column.name for column in facts.columns],
        "libraries": library_versions(),
    }


def _tabulate(reduced: Reduced, survey: Survey, running: Step) -> Tabulated | None:
    try:
        tabulated = tabulate(reduced, survey.frame)
    except TableError as reason:
        running.note(f"there is none: {reason}")
        return None
    running.note(f"{tabulated.cells:,} cells, equal on {tabulated.agreement.rows:,} rows")
    return tabulated


@contextmanager
def _cross_validating(workers: Workers | None, text: str) -> Iterator[Step]:
    """Run a step that tells how many folds its workers have done."""
    with step(text) as running:
        if workers is None:
            yield running
        else:
            with workers.telling(running.update):
                yield running


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _describe(trained: Trained) -> str:
    return f"AUC {trained.mean('AUC'):.4f}, {OPTIMIZED} {trained.mean(OPTIMIZED):.4f} ± {trained.std(OPTIMIZED):.4f}"


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _write_json(path: Path, content: Mapping[str, Any]) -> Path:
    return _write(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
