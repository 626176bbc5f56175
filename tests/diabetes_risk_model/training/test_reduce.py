import copy
import pickle
import pickletools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.errors import ReductionError
from diabetes_risk_model.training.reduce import SELECTED, read_steps, reduce_pipeline, to_pickle


def globals_of(content: bytes) -> set[tuple[str, str]]:
    """The (module, name) pairs that a pickle looks up, by following its opcodes."""
    memo: list[Any] = []
    recent: list[Any] = []
    found = set()
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("SHORT_BINUNICODE", "BINUNICODE"):
            recent.append(argument)
        elif opcode.name == "MEMOIZE":
            memo.append(recent[-1] if recent else None)
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            recent.append(memo[argument])
        elif opcode.name == "STACK_GLOBAL":
            found.add((recent[-2], recent[-1]))
            recent.append(None)
        elif opcode.name in ("GLOBAL", "INST"):
            found.add(tuple(argument.split(" ")))
        else:
            recent.append(None)
    return found


def replaced(trained: Any, name: str, transformer: Any) -> Any:
    """The same pipeline with another transformer in one step."""
    other = copy.copy(trained)
    other.steps = [
        (step_name, replace(step, transformer=transformer) if step_name == name else step)
        for step_name, step in trained.steps
    ]
    return other


def test_reduced_pipeline_answers_equally_and_takes_arrays(trained, frame):
    reduced = reduce_pipeline(trained, frame)
    assert reduced.agreement.largest_difference == 0.0
    assert reduced.agreement.different_labels == 0
    assert reduced.agreement.rows == 5 * len(frame) + 92 * 6 * 14 * 9
    rows = np.array([[30.5, np.nan, 9, 3], [np.nan, np.nan, np.nan, np.nan]])
    assert reduced.pipeline.predict_proba(rows).shape == (2, 2)


def test_one_wrong_number_in_the_scaler_is_found(trained, frame, monkeypatch):
    import diabetes_risk_model.training.reduce as module

    read = module.read_steps

    def slightly_wrong(*arguments: Any) -> Any:
        pipeline = read(*arguments)
        pipeline.named_steps["scaler"].mean_[0] += 0.6
        return pipeline

    monkeypatch.setattr(module, "read_steps", slightly_wrong)
    with pytest.raises(ReductionError, match=r"answers differently: .* labels differ, and probabilities by up to"):
        reduce_pipeline(trained, frame)


@pytest.mark.parametrize("transformer", [PCA(), MinMaxScaler()])
def test_an_unknown_step_is_refused_by_name(trained, transformer):
    message = f"Step 'normalize' of the trained pipeline is a {type(transformer).__name__}"
    with pytest.raises(ReductionError, match=message):
        read_steps(replaced(trained, "normalize", transformer), SELECTED)


def test_a_scaler_that_only_scales_is_refused(trained, frame):
    names = trained.steps[0][1]._include
    scaler = StandardScaler(with_mean=False).fit(frame[names])
    with pytest.raises(ReductionError, match="does not both center and scale"):
        read_steps(replaced(trained, "normalize", scaler), SELECTED)


def test_a_second_scaler_is_refused(trained):
    trained.steps.insert(2, ("again", trained.steps[1][1]))
    with pytest.raises(ReductionError, match="'again' scales a second time"):
        read_steps(trained, SELECTED)


def test_imputing_after_scaling_is_refused(trained):
    trained.steps[0], trained.steps[1] = trained.steps[1], trained.steps[0]
    with pytest.raises(ReductionError, match="imputes after the scaling"):
        read_steps(trained, SELECTED)


@pytest.mark.parametrize(
    "settings", [{"strategy": "most_frequent"}, {"add_indicator": True}, {"missing_values": -1}], ids=str
)
def test_another_imputer_is_refused(trained, frame, settings):
    imputer = SimpleImputer(**settings).fit(frame[trained.steps[0][1]._include])
    with pytest.raises(ReductionError, match="'imputer' is a SimpleImputer with"):
        read_steps(replaced(trained, "imputer", imputer), SELECTED)


@pytest.mark.parametrize(("position", "what"), [(0, "imputed"), (1, "scaled")])
def test_a_missing_step_is_refused(trained, position, what):
    del trained.steps[position]
    with pytest.raises(ReductionError, match=f"is not {what}"):
        read_steps(trained, SELECTED)


def test_a_pipeline_without_steps_is_refused(trained):
    trained.steps = trained.steps[-1:]
    with pytest.raises(ReductionError, match="no preprocessing steps"):
        read_steps(trained, SELECTED)


def test_other_columns_are_refused(trained):
    with pytest.raises(ReductionError, match=r"sees BMI, GeneralHealth, Age, Income; expected Income, Age"):
        read_steps(trained, tuple(reversed(SELECTED)))


def test_another_classifier_is_refused(trained, frame):
    names = [column.name for column in SELECTED]
    forest = RandomForestClassifier(n_estimators=2).fit(frame[names], frame["Diabetes"])
    trained.steps[-1] = ("actual_estimator", forest)
    with pytest.raises(ReductionError, match="is a RandomForestClassifier; expected GradientBoostingClassifier"):
        read_steps(trained, SELECTED)


def test_steps_that_do_nothing_in_prediction_are_skipped(trained, frame):
    names = trained.steps[0][1]._include
    outliers = replace(trained.steps[0][1], transformer=PCA(), _train_only=True)
    unused = replace(trained.steps[0][1], transformer=SimpleImputer(strategy="most_frequent"), _include=[])
    trained.steps[1:1] = [("outliers", outliers), ("categorical", unused)]
    assert reduce_pipeline(trained, frame).agreement.within(0.0)
    assert names == trained.steps[0][1]._include


def test_the_pickle_needs_only_scikit_learn_and_numpy(trained, frame):
    pipeline = reduce_pipeline(trained, frame).pipeline
    content = to_pickle(pipeline)
    assert content[:2] == b"\x80\x05"
    modules = {module for module, _ in globals_of(content)}
    assert {module.split(".")[0] for module in modules} == {"sklearn", "numpy"}
    assert not any("random" in module for module in modules)
    rows = agreement.every_input(SELECTED)[::997]
    assert (pickle.loads(content).predict_proba(rows) == pipeline.predict_proba(rows)).all()


def test_the_pickle_is_the_same_for_the_same_pipeline(trained, frame):
    assert to_pickle(reduce_pipeline(trained, frame).pipeline) == to_pickle(reduce_pipeline(trained, frame).pipeline)


def test_the_trained_pipeline_is_left_alone(trained, frame):
    before = pickle.dumps(trained.steps[-1][1])
    reduce_pipeline(trained, frame)
    assert isinstance(trained.steps[-1][1], GradientBoostingClassifier)
    assert pickle.dumps(trained.steps[-1][1]) == before
