"""Gathers the numbers of a training run in one dictionary, which becomes `metrics.json` and feeds the model card."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from diabetes_risk_model.training.train import OPTIMIZED, Experiment, Trained

if TYPE_CHECKING:
    import pandas as pd

    from diabetes_risk_model.training.agreement import Agreement
    from diabetes_risk_model.training.evaluate import Evaluation
    from diabetes_risk_model.training.table import Tabulated


def gather(
    experiment: Experiment,
    compared: pd.DataFrame,
    created: Trained,
    tuned: Trained,
    evaluation: Evaluation,
    reduction: Agreement,
    export: Agreement,
    table: Tabulated | None,
) -> dict[str, Any]:
    """Gather the numbers. The same seed, rows and libraries give the same dictionary: it holds no times.

    Returns:
        A dictionary of JSON's types, with the keys "rows", "folds", "compared", "created", "tuned", "tuning",
        "held_out", "reduction", "export" and "table", which is None where there is none.
    """
    return {
        "rows": {"survey": experiment.rows, "train": experiment.train_rows, "held_out": experiment.test_rows},
        "folds": experiment.profile.folds,
        "compared": _compared(compared),
        "created": _scores(created),
        "tuned": {**_scores(tuned), "parameters": plain(tuned.parameters)},
        "tuning": tuning_effect(created, tuned),
        "held_out": dict(evaluation.scores),
        "reduction": asdict(reduction),
        "export": asdict(export),
        "table": None if table is None else {"cells": table.cells, **asdict(table.agreement)},
    }


def tuning_effect(created: Trained, tuned: Trained) -> dict[str, Any]:
    """Compare the F1 of tuning to the spread of F1 over the folds.

    Returns:
        "metric"; "difference", tuned minus created; "spread", the larger of both standard deviations over the folds;
        "inside_spread"; "kept", whether the tuned hyperparameters are used.
    """
    difference = tuned.mean(OPTIMIZED) - created.mean(OPTIMIZED)
    spread = max(created.std(OPTIMIZED), tuned.std(OPTIMIZED))
    return {
        "metric": OPTIMIZED,
        "difference": round(difference, 4),
        "spread": round(spread, 4),
        "inside_spread": abs(difference) <= spread,
        "kept": tuned.kept,
    }


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Turn numpy's numbers into Python's, so that JSON can hold them."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in sorted(values.items())}


def _scores(trained: Trained) -> dict[str, dict[str, float]]:
    return {
        "mean": {name: trained.mean(name) for name in trained.scores.columns},
        "std": {name: trained.std(name) for name in trained.scores.columns},
    }


def _compared(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.rename(columns={"Model": "model"})
    return [{"id": str(name), **plain(dict(row))} for name, row in rows.iterrows()]
