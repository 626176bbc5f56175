"""Evaluates the trained model: scores on the rows that were held out, and six plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from diabetes_risk_model.training.quiet import drawing, pycaret_call
from diabetes_risk_model.training.train import Experiment, Trained

PLOTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "auc": ("auc", "ROC curves"),
        "confusion_matrix": ("confusion_matrix", "Confusion matrix"),
        "class_report": ("class_report", "Precision, recall and F1 of each class"),
        "class_prediction_error": ("error", "Class prediction error"),
        "feature_importance": ("feature", "Feature importance"),
        "learning_curve": ("learning", "Learning curve"),
    }
)
"""File name without suffix -> pycaret's name of the plot, and a title."""


@dataclass(frozen=True)
class Evaluation:
    """What came of the evaluation.

    Attributes:
        scores: metric -> value between 0 and 1 (Kappa and MCC: -1 to 1), on the held-out rows.
        plots: name, as in `PLOTS` -> PNG file.
    """

    scores: Mapping[str, float]
    plots: Mapping[str, Path]


def evaluate(
    experiment: Experiment, trained: Trained, folder: Path, *, report: Callable[[str], None] = lambda text: None
) -> Evaluation:
    """Score the model on the rows that were held out, and draw the six plots of `PLOTS`.

    Args:
        experiment: from `prepare`.
        trained: from `create` or `tune`; fitted to the training rows only.
        folder: where the PNG files go; made if it is missing.
        report: is called with the name of each plot before it is drawn.
    """
    with pycaret_call():
        experiment.pycaret.predict_model(trained.model, verbose=False)
        scores = held_out_scores(experiment.pycaret.pull())
    folder.mkdir(parents=True, exist_ok=True)
    plots = {}
    for number, name in enumerate(PLOTS, start=1):
        report(f"{number} of {len(PLOTS)}: {name}")
        plots[name] = draw(experiment, trained, name, folder)
    return Evaluation(scores, plots)


def draw(experiment: Experiment, trained: Trained, name: str, folder: Path) -> Path:
    """Draw one plot of `PLOTS` and return its PNG file."""
    plot, _ = PLOTS[name]
    path = folder / f"{name}.png"
    with TemporaryDirectory(dir=folder) as scratch, drawing(), experiment.call():
        drawn = experiment.pycaret.plot_model(trained.model, plot=plot, save=scratch, verbose=False)
        Path(drawn).replace(path)
    return path


def held_out_scores(table: Any) -> dict[str, float]:
    """Read the one row of pycaret's table of held-out scores."""
    return {name: float(table.iloc[0][name]) for name in table.columns if name != "Model"}
