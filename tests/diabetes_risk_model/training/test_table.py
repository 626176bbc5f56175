"""The table is the same model: to the last bit, on both sides of every value at which a tree decides."""

import copy

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from diabetes_risk_model.prediction.table import Axis, Table, count_cells
from diabetes_risk_model.training import agreement
from diabetes_risk_model.training import table as tables
from diabetes_risk_model.training.errors import ExportError, TableError
from diabetes_risk_model.training.reduce import SELECTED, answers, reduce_pipeline
from diabetes_risk_model.training.table import build_table, check, ends_of_cells, read_axes, tabulate

TREES = {
    "boosting": GradientBoostingClassifier(n_estimators=8, random_state=0),
    "boosting from nothing": GradientBoostingClassifier(n_estimators=3, init="zero", random_state=0),
    "forest": RandomForestClassifier(n_estimators=4, max_depth=4, random_state=0),
    "extra trees": ExtraTreesClassifier(n_estimators=3, max_depth=4, random_state=0),
    "one tree": DecisionTreeClassifier(max_depth=5, random_state=0),
    "no split at all": DecisionTreeClassifier(max_depth=1, min_impurity_decrease=1.0, random_state=0),
}


def fit(classifier, *, scaler=None, rows=800, target=None):
    """Fit a pipeline on answers with decimals, some of them missing."""
    source = np.random.default_rng(5)
    values = np.column_stack([source.normal(28, 6, rows), *(source.integers(1, top + 1, rows) for top in (5, 13, 8))])
    risk = (values - values.mean(axis=0)) @ [0.1, 0.4, 0.2, -0.3] + source.normal(0, 0.5, rows) > 0
    values[source.random(values.shape) < 0.05] = np.nan
    steps = [("imputer", SimpleImputer()), ("scaler", scaler or StandardScaler()), ("classifier", classifier)]
    return Pipeline(steps).fit(values, risk.astype(int) if target is None else target(risk))


@pytest.fixture
def reduced(trained, frame):
    return reduce_pipeline(trained, frame)


def test_a_reduced_pipeline_is_its_table(reduced, frame):
    tabulated = tabulate(reduced, frame)
    assert tabulated.agreement.within(0.0)
    assert tabulated.agreement.rows > reduced.agreement.rows + tabulated.cells
    read = Table.from_bytes(tabulated.content, [column.name for column in SELECTED])
    assert len(read.cells) == tabulated.cells
    assert [axis.missing for axis in read.axes] == reduced.pipeline.named_steps["imputer"].statistics_.tolist()


def test_the_same_model_gives_the_same_bytes(reduced, frame):
    assert tabulate(reduced, frame).content == tabulate(reduced, frame).content


@pytest.mark.parametrize("name", TREES)
def test_ensembles_of_trees_are_their_tables(name):
    pipeline = fit(copy.deepcopy(TREES[name]))
    table = build_table(pipeline, SELECTED)
    assert check(table, pipeline, ends_of_cells(table.axes)).within(0.0)
    source = np.random.default_rng(6)
    rows = np.column_stack([source.uniform(-100, 200, 3_000), *source.uniform(-5, 20, (3, 3_000))])
    rows[source.random(rows.shape) < 0.1] = np.nan
    assert check(table, pipeline, rows).within(0.0)


def test_a_cut_is_where_the_pipeline_itself_decides_otherwise():
    """To the last bit: the double before a cut goes left, and the cut goes right. Arithmetic would miss some."""
    pipeline = fit(copy.deepcopy(TREES["boosting"]))
    imputer, scaler, classifier = pipeline.named_steps.values()
    trees = classifier.estimators_.ravel()
    missed = 0
    for position, axis in enumerate(read_axes(pipeline, SELECTED)):
        thresholds = np.unique(np.concatenate([t.tree_.threshold[t.tree_.feature == position] for t in trees]))
        cuts = np.array(axis.cuts)
        rows = np.tile(imputer.statistics_, (len(cuts), 1))
        sides = []
        for values in (np.nextafter(cuts, -np.inf), cuts):
            rows[:, position] = values
            scaled = scaler.transform(rows)[:, position].astype(np.float32)
            sides.append((scaled[:, None] > thresholds).sum(axis=1))
        assert sides[0].tolist() == list(range(len(cuts)))
        assert sides[1].tolist() == list(range(1, len(cuts) + 1))
        missed += int((thresholds * scaler.scale_[position] + scaler.mean_[position] != cuts).sum())
    assert missed > 0


def test_both_ends_of_every_cell_are_asked_with_each_column_missing_too():
    axes = (Axis("a", (1.0, 2.0), 1.5), Axis("b", (), 0.0))
    ends = ends_of_cells(axes)
    assert ends.shape == (2 * (3 + 1) * (1 + 1), 2)
    assert {1.0, 2.0, np.nextafter(1.0, 0), np.nextafter(2.0, 0)} <= set(ends[:, 0])
    assert np.isnan(ends).all(axis=1).sum() == 2


@pytest.mark.parametrize("number", range(4))
def test_a_cut_that_is_off_by_the_last_bit_is_found(number):
    pipeline = fit(copy.deepcopy(TREES["boosting"]))
    table = build_table(pipeline, SELECTED)
    ends = ends_of_cells(table.axes)
    axis = table.axes[number]
    for towards in (-np.inf, np.inf):
        cuts = tuple(np.nextafter(axis.cuts, towards).tolist())
        axes = [Axis(axis.column, cuts, axis.missing) if other is axis else other for other in table.axes]
        with pytest.raises(ExportError, match="The table answers differently"):
            check(Table(tuple(axes), table.cells), pipeline, ends)


def test_one_cell_that_is_off_by_the_last_bit_is_found():
    pipeline = fit(copy.deepcopy(TREES["boosting"]))
    table = build_table(pipeline, SELECTED)
    ends = ends_of_cells(table.axes)
    table.cells[-1] = np.nextafter(table.cells[-1], 1)
    with pytest.raises(ExportError, match=r"0 of .* labels differ, and probabilities by up to 1\.11e-16"):
        check(table, pipeline, ends)


def test_another_value_for_missing_answers_is_found():
    pipeline = fit(copy.deepcopy(TREES["boosting"]))
    other = copy.deepcopy(pipeline)
    other.named_steps["imputer"].statistics_ += [6, 0, 0, 0]
    table = build_table(other, SELECTED)
    with pytest.raises(ExportError, match="labels differ"):
        check(table, pipeline, ends_of_cells(table.axes))


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (LogisticRegression(), "splits of a LogisticRegression cannot be read; expected one of GradientBoosting"),
        (HistGradientBoostingClassifier(max_iter=2), "splits of a HistGradientBoostingClassifier"),
        (AdaBoostClassifier(n_estimators=2, algorithm="SAMME"), "splits of a AdaBoostClassifier"),
        (BaggingClassifier(n_estimators=2, max_features=2), "splits of a BaggingClassifier"),
        (GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()), "starts from another model's answers"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_other_models_have_no_table(classifier, message):
    with pytest.raises(TableError, match=message):
        build_table(fit(classifier), SELECTED)


def test_other_steps_and_other_classes_have_no_table():
    with pytest.raises(TableError, match="by SimpleImputer, MinMaxScaler; expected SimpleImputer, StandardScaler"):
        build_table(fit(copy.deepcopy(TREES["one tree"]), scaler=MinMaxScaler()), SELECTED)
    with pytest.raises(TableError, match="tells 3 classes apart"):
        build_table(fit(copy.deepcopy(TREES["one tree"]), target=lambda risk: np.arange(len(risk)) % 3), SELECTED)


def test_a_model_of_very_many_cells_has_no_table_and_none_is_computed(monkeypatch):
    pipeline = fit(RandomForestClassifier(n_estimators=60, random_state=0), rows=4_000)
    assert count_cells(read_axes(pipeline, SELECTED)) > tables.MOST_CELLS
    monkeypatch.setattr(tables, "answers", None)
    with pytest.raises(TableError, match=r"would have [0-9,]+ cells; expected at most 4,000,000"):
        build_table(pipeline, SELECTED)


def test_the_answers_of_the_table_are_those_of_the_engine(reduced):
    table = build_table(reduced.pipeline, SELECTED)
    rows = agreement.every_input(SELECTED)[::17]
    found = tables.table_answers(table, rows)
    assert np.array_equal(found.probabilities, answers(reduced.pipeline, rows).probabilities[:, 1:])
    assert found.labels.tolist() == answers(reduced.pipeline, rows).labels.tolist()


def test_columns_that_are_not_cut_are_of_one_cell():
    pipeline = fit(copy.deepcopy(TREES["no split at all"]))
    assert [len(axis.cuts) for axis in read_axes(pipeline, SELECTED)] == [0, 0, 0, 0]
    assert count_cells(build_table(pipeline, SELECTED).axes) == 1
