"""Reduces the trained pycaret pipeline to plain scikit-learn over the selected columns.

pycaret's pipeline has six preprocessing steps over 21 columns, needs pycaret to be loaded, and is slow at a single
prediction. Four of the steps do nothing when it predicts, and two treat each column by itself. So nothing is fitted
again here: the numbers that the fitted steps hold are copied, for the selected columns only, into an imputer and a
scaler of scikit-learn. Each value then goes through the same floating-point operations in the same order, and the
answers are equal to the last bit. `reduce_pipeline` proves that for every row before it returns.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diabetes_risk_model.data.columns import Column
from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.agreement import Agreement, Answers
from diabetes_risk_model.training.errors import ReductionError
from diabetes_risk_model.training.quiet import quiet
from diabetes_risk_model.training.train import SELECTED

_NUMERIC = ("mean", "median", "constant")


@dataclass(frozen=True)
class Reduced:
    """A reduced pipeline, and the proof that it answers like the trained one.

    Attributes:
        pipeline: a fitted scikit-learn `Pipeline` of imputer, scaler and classifier. It takes a float64 array of shape
            (rows, 4): body mass index, general health, age group, income group, each NaN where it is missing.
        columns: the four columns, in this order.
        agreement: with the trained pipeline.
    """

    pipeline: Any
    columns: tuple[Column, ...]
    agreement: Agreement


@dataclass
class _State:
    """What the steps that were read so far do to each column: fill, then subtract and divide."""

    names: list[str]
    fill: dict[str, float] = field(default_factory=dict)
    center: dict[str, float] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)


def reduce_pipeline(pipeline: Any, frame: Any) -> Reduced:
    """Reduce a finalized pycaret pipeline, and check the result on every row and every whole-number input.

    Args:
        pipeline: from `finalize`.
        frame: the survey's rows, all of them; a data frame with readable column names.

    Raises:
        ReductionError: if a step is not known, or if any label or probability differs.
    """
    reduced = read_steps(pipeline, SELECTED)
    rows = np.concatenate([agreement.survey_rows(frame, SELECTED), agreement.every_input(SELECTED)])
    expected = answers(pipeline, agreement.as_survey(rows, SELECTED, frame))
    found = agreement.measure(expected, answers(reduced, rows))
    if not found.within(0.0):
        raise ReductionError(
            f"The reduced pipeline answers differently: {found.different_labels:,} of {found.rows:,} labels differ, "
            f"and probabilities by up to {found.largest_difference:.3g}; expected none, and 0. "
            "Has the version of pycaret or of scikit-learn changed? Train with the versions of the lock file."
        )
    return Reduced(reduced, SELECTED, found)


def answers(pipeline: Any, rows: Any) -> Answers:
    """Ask a scikit-learn pipeline, ours or pycaret's, for labels and probabilities."""
    with quiet():
        labels = np.asarray(pipeline.predict(rows)).astype(np.int64)
        return Answers(labels, np.asarray(pipeline.predict_proba(rows), dtype=np.float64))


def read_steps(pipeline: Any, columns: tuple[Column, ...]) -> Any:
    """Read the fitted steps of a pycaret pipeline, and build a scikit-learn pipeline that does the same.

    Args:
        pipeline: fitted; anything with pycaret's `steps` and `feature_names_in_`.
        columns: the columns that the last step is expected to see, in order.

    Raises:
        ReductionError: if a step is not known, or if other columns reach the last step.
    """
    from sklearn.pipeline import Pipeline

    *steps, (_, model) = pipeline.steps
    if not steps or not hasattr(steps[0][1], "feature_names_in_"):
        raise ReductionError(
            "The pipeline has no preprocessing steps with column names; expected the fitted pipeline of `finalize`."
        )
    names = [column.name for column in columns]
    state = _State(list(steps[0][1].feature_names_in_))
    for name, step in steps:
        _read(name, step, state)
    selected = [name for name in state.names if name in set(model.feature_names_in_)]
    if selected != names or list(model.feature_names_in_) != names:
        raise ReductionError(
            f"The pipeline's classifier sees {', '.join(model.feature_names_in_)}; expected {', '.join(names)}."
        )
    for what, values in (("imputed", state.fill), ("scaled", state.scale)):
        left_out = [name for name in names if name not in values]
        if left_out:
            raise ReductionError(f"Column {', '.join(left_out)} is not {what}; expected a step that does it.")
    imputer = _imputer([state.fill[name] for name in names])
    scaler = _scaler([state.center[name] for name in names], [state.scale[name] for name in names])
    return Pipeline([("imputer", imputer), ("scaler", scaler), ("classifier", _classifier(model))])


def _read(name: str, step: Any, state: _State) -> None:
    """Apply what one fitted step does to `state`."""
    transformer = getattr(step, "transformer", step)
    if getattr(step, "_train_only", False):
        return
    kind = type(transformer).__name__
    included = getattr(step, "_include", None)
    applies_to = state.names if included is None else included
    if not applies_to:
        return
    if kind == "SimpleImputer":
        _read_imputer(name, transformer, applies_to, state)
    elif kind == "StandardScaler":
        if not (transformer.with_mean and transformer.with_std):
            raise ReductionError(f"Step {name!r} is a StandardScaler that does not both center and scale.")
        if state.scale:
            raise ReductionError(f"Step {name!r} scales a second time; expected one StandardScaler.")
        state.center = _by_name(applies_to, transformer.mean_)
        state.scale = _by_name(applies_to, transformer.scale_)
    elif kind == "RemoveMulticollinearity":
        state.names = [column for column in state.names if column not in set(transformer.drop_)]
    elif kind == "SelectFromModel":
        chosen = _by_name(applies_to, transformer.get_support())
        state.names = [column for column in state.names if chosen.get(column, True)]
    else:
        raise ReductionError(
            f"Step {name!r} of the trained pipeline is a {kind}, which cannot be reduced; expected SimpleImputer, "
            "StandardScaler, RemoveMulticollinearity, SelectFromModel, or a step that is used in training only. "
            "Remove it from the training settings, or teach reduce.py what it does."
        )


def _read_imputer(name: str, imputer: Any, columns: list[str], state: _State) -> None:
    if imputer.strategy not in _NUMERIC or imputer.add_indicator or not np.isnan(imputer.missing_values):
        raise ReductionError(
            f"Step {name!r} is a SimpleImputer with strategy {imputer.strategy!r}; expected one of "
            f"{', '.join(_NUMERIC)}, without indicators, for values that are NaN."
        )
    if state.scale:
        raise ReductionError(f"Step {name!r} imputes after the scaling; expected it before.")
    state.fill = {**_by_name(columns, imputer.statistics_), **state.fill}


def _by_name(columns: list[str], values: Any) -> dict[str, Any]:
    if len(columns) != len(values):
        raise ReductionError(f"A step has {len(values)} values for {len(columns)} columns; expected one for each.")
    return dict(zip(columns, np.asarray(values).tolist(), strict=True))


def _imputer(statistics: list[float]) -> Any:
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(strategy="mean")
    imputer.statistics_ = np.array(statistics, dtype=np.float64)
    imputer.n_features_in_ = len(statistics)
    imputer.indicator_ = None
    # SimpleImputer.transform compares the type of its input to the one that it was fitted with.
    imputer._fit_dtype = np.dtype(np.float64)
    imputer._fill_dtype = np.dtype(np.float64)
    return imputer


def _scaler(center: list[float], scale: list[float]) -> Any:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_ = np.array(center, dtype=np.float64)
    scaler.scale_ = np.array(scale, dtype=np.float64)
    scaler.var_ = scaler.scale_**2
    scaler.n_features_in_ = len(center)
    return scaler


def _classifier(model: Any) -> Any:
    """Copy the classifier, without what only training needs (column names, random generators) or nothing needs.

    The trees keep their nodes in records with unused bytes between the fields. Those hold whatever was in memory, and
    a pickle would carry it along.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    if type(model) is not GradientBoostingClassifier:
        raise ReductionError(f"The classifier is a {type(model).__name__}; expected GradientBoostingClassifier.")
    model = copy.deepcopy(model)
    del model.feature_names_in_
    model.__dict__.pop("_rng", None)
    for tree in model.estimators_.ravel():
        tree.random_state = None
        state = tree.tree_.__getstate__()
        nodes = np.zeros(state["nodes"].shape, dtype=state["nodes"].dtype)
        for name in nodes.dtype.names:
            nodes[name] = state["nodes"][name]
        tree.tree_.__setstate__({**state, "nodes": nodes})
    return model


def to_pickle(pipeline: Any) -> bytes:
    """Pickle a reduced pipeline: protocol 5, plain `pickle`, the same bytes for the same pipeline."""
    return pickle.dumps(pipeline, protocol=5)
