import numpy as np

from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.agreement import Answers
from diabetes_risk_model.training.train import SELECTED


def answers(labels, ones):
    return Answers(np.array(labels), np.column_stack([1 - np.array(ones), ones]))


def test_equal_answers_agree():
    found = agreement.measure(answers([0, 1], [0.2, 0.7]), answers([0, 1], [0.2, 0.7]))
    assert (found.rows, found.different_labels, found.largest_difference) == (2, 0, 0.0)
    assert found.within(0.0)


def test_a_different_label_is_counted_though_probabilities_are_equal():
    found = agreement.measure(answers([0, 1], [0.5, 0.7]), answers([1, 1], [0.5, 0.7]))
    assert found.different_labels == 1
    assert not found.within(1.0)


def test_the_largest_difference_counts():
    found = agreement.measure(answers([0, 1], [0.25, 0.75]), answers([0, 1], [0.25, 0.5]))
    assert found.largest_difference == 0.25
    assert found.within(0.25)
    assert not found.within(0.2)


def test_a_probability_that_is_no_number_never_agrees():
    found = agreement.measure(answers([0, 1], [0.2, 0.7]), answers([0, 1], [0.2, np.nan]))
    assert not found.within(1e9)


def test_every_input_holds_each_combination_once_with_missing_values():
    rows = agreement.every_input(SELECTED)
    assert rows.shape == (92 * 6 * 14 * 9, 4)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert np.isnan(rows).all(axis=1).sum() == 1
    assert (np.nanmin(rows, axis=0) == [10, 1, 1, 1]).all()
    assert (np.nanmax(rows, axis=0) == [100, 5, 13, 8]).all()


def test_survey_rows_come_whole_and_with_each_column_missing(frame):
    rows = agreement.survey_rows(frame, SELECTED)
    assert rows.shape == (5 * len(frame), 4)
    assert np.isnan(rows).sum(axis=0).tolist() == [len(frame)] * 4


def test_as_survey_puts_the_rows_into_full_survey_rows(frame):
    rows = agreement.every_input(SELECTED)[:1000]
    wide = agreement.as_survey(rows, SELECTED, frame)
    assert list(wide.columns) == list(frame.columns[1:])
    np.testing.assert_array_equal(wide[["BMI", "GeneralHealth", "Age", "Income"]].to_numpy(), rows)
    assert wide["Smoker"].iloc[len(frame)] == frame["Smoker"].iloc[0]
