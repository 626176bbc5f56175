"""What each answer adds to a row's risk: its contribution, a Shapley value, in log-odds.

A row's contributions depend on nothing but its cell of the table. So shap's exact method for trees goes through every
cell once, and rows are looked up. For each cell the contributions and the base have to add up to the probability's
log-odds, or there is no explanation at all.
"""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diabetes_risk_model.prediction.table import Axis, Table
from signed_parameters import ConfigurationError

_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Explanation:
    """The contributions in every cell.

    Attributes:
        base: log-odds before any answer is known.
        contributions: of shape (cells, 4), in log-odds.
    """

    base: float
    contributions: NDArray[np.float64]


def explain(table: Table, pipeline: Any) -> Explanation:
    """Explain every cell of a table.

    Args:
        table: of the package.
        pipeline: the package's reduced pipeline, whose last step is an ensemble of trees.

    Raises:
        ConfigurationError: shap is not installed, or knows no exact method for the classifier.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries that it imports
            from shap import TreeExplainer
            from shap.utils._exceptions import InvalidModelError
    except ImportError:
        raise ConfigurationError(
            "explanations need the library shap, which is not installed",
            remedy="Install signed-parameters[batch], or leave --explain away.",
        ) from None
    rows = np.array(list(itertools.product(*map(_values, table.axes))))
    try:
        explainer = TreeExplainer(pipeline[-1], feature_perturbation="tree_path_dependent")
        contributions = np.asarray(explainer.shap_values(pipeline[:-1].transform(rows)), np.float64)
        base = float(np.ravel(explainer.expected_value)[-1])
    except (InvalidModelError, AssertionError, NotImplementedError) as error:
        raise _not_explained(str(error).partition("\n")[0][:200]) from None
    cells = np.frombuffer(table.cells, np.float64)
    if contributions.shape != rows.shape:
        raise _not_explained(f"contributions of shape {contributions.shape}")
    difference = np.abs(1.0 / (1.0 + np.exp(-(base + contributions.sum(axis=1)))) - cells).max()
    if not difference <= _TOLERANCE:
        raise _not_explained(f"contributions that miss the probabilities by up to {difference:.2g}")
    return Explanation(base, contributions)


def _values(axis: Axis) -> list[float]:
    """Return a value of each cell of an axis."""
    first = math.nextafter(axis.cuts[0], -math.inf) if axis.cuts else axis.missing
    return [first, *axis.cuts]


def _not_explained(found: str) -> ConfigurationError:
    return ConfigurationError(
        "the model cannot be explained",
        expected="contributions that add up to the log-odds of each probability, as gradient boosting has them",
        found=found,
        remedy="Leave --explain away.",
    )
