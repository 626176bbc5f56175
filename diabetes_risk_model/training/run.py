"""Runs the whole training, with progress on the terminal, and writes the files that a package carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diabetes_risk_model.prediction.table import FILE as TABLE
from diabetes_risk_model.progress import Step, step
from diabetes_risk_model.training.card import CardFacts, to_html, to_markdown
from diabetes_risk_model.training.errors import TableError
from diabetes_risk_model.training.evaluate import PLOTS, evaluate
from diabetes_risk_model.training.export import export
from diabetes_risk_model.training.libraries import library_versions
from diabetes_risk_model.training.metrics import gather, plain
from diabetes_risk_model.training.profile import profile_survey
from diabetes_risk_model.training.profiles import Profile, find_profile
from diabetes_risk_model.training.quiet import import_pycaret
from diabetes_risk_model.training.reduce import Reduced, reduce_pipeline, to_pickle
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

    Raises:
        TrainingError: if there are too few rows, if training keeps other columns than the service asks for, or if the
            reduced or the exported model answers differently from the trained one.
    """
    profile = find_profile(profile)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    if with_report:
        with step("Profile the survey") as running:
            files["profile.html"] = folder / "profile.html"
            profile_survey(survey, files["profile.html"], rows=profile.report_rows, seed=seed)
            running.note(f"{len(survey.frame):,} rows from source {survey.source}")
    with step("Load pycaret"):
        import_pycaret()
    with step("Prepare: remove outliers, scale, select columns") as running:
        experiment = prepare(survey, profile, seed)
        running.note(f"{experiment.rows:,} rows, {', '.join(column.name for column in SELECTED)}")
    with step(f"Compare {_count(len(profile.candidates), 'candidate')}, {profile.folds} folds") as running:
        compared = compare(experiment)
        running.note(f"best {OPTIMIZED}: {compared.iloc[0]['Model']}, {compared.iloc[0][OPTIMIZED]:.4f}")
    with step(f"Train gradient boosting, {profile.folds} folds") as running:
        created = create(experiment)
        running.note(_describe(created))
    with step(f"Tune it, {_count(profile.tuning_iterations, 'set')} of hyperparameters") as running:
        tuned = tune(experiment, created)
        running.note(_describe(tuned) + ("" if tuned.kept else "; not better, the defaults stay"))
    with step("Evaluate on held-out rows, draw plots") as running:
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


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _describe(trained: Trained) -> str:
    return f"AUC {trained.mean('AUC'):.4f}, {OPTIMIZED} {trained.mean(OPTIMIZED):.4f} ± {trained.std(OPTIMIZED):.4f}"


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _write_json(path: Path, content: Mapping[str, Any]) -> Path:
    return _write(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
