"""Validation: what fits passes in its final form; what does not is named by line, column, value and remedy."""

import numpy as np
import pandas as pd
import pytest

from diabetes_risk_model.data.columns import COLUMNS, READABLE_NAMES, Column
from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.data.errors import InvalidSurveyError
from diabetes_risk_model.data.validation import validate

CODES = {column.name: column.code for column in COLUMNS}


@pytest.fixture
def frame() -> pd.DataFrame:
    return draw(30, seed=1)


def test_codes_and_text_become_readable_names_and_whole_numbers(frame: pd.DataFrame) -> None:
    as_in_the_file = frame.rename(columns=CODES).astype(float).astype(str)
    pd.testing.assert_frame_equal(validate(as_in_the_file), frame)


def test_readable_names_in_any_order_pass(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(validate(frame[list(reversed(frame.columns))]), frame)


def test_the_given_frame_is_not_changed(frame: pd.DataFrame) -> None:
    given = frame.rename(columns=CODES).set_index(pd.Index(range(100, 130)))
    before = given.copy()
    assert validate(given).index.tolist() == list(range(30))
    pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_the_ends_of_the_range_pass_and_what_is_beyond_does_not(frame: pd.DataFrame, column: Column) -> None:
    frame.loc[0, column.name], frame.loc[1, column.name] = column.minimum, column.maximum
    validate(frame)
    for value in (column.minimum - 1, column.maximum + 1):
        frame.loc[2, column.name] = value
        with pytest.raises(InvalidSurveyError, match=f"line 4, column {column.name}: found {value}, expected"):
            validate(frame)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("old", "'old'"),
        ("2.5", "'2.5'"),
        (2.5, "2.5"),
        ("", "nothing"),
        (None, "nothing"),
        (np.nan, "nothing"),
        ("NaN", "'NaN'"),
        ("inf", "'inf'"),
        (float("inf"), "inf"),
        ("1,0", "'1,0'"),
        ("\x1b[2Jx", "'\\\\x1b\\[2Jx'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_line_column_and_range(
    frame: pd.DataFrame, value: object, found: str
) -> None:
    broken = frame.rename(columns=CODES).astype(object)
    broken.loc[5, "GenHlth"] = value
    with pytest.raises(
        InvalidSurveyError,
        match=rf"(?s)1 value that does not fit:\n  line 7, column GenHlth: found {found}, expected 1 \(excellent\).*"
        "or 5 .poor.\nCorrect or remove",
    ):
        validate(broken)


def test_lines_follow_the_index_where_blank_lines_were_left_out(frame: pd.DataFrame) -> None:
    frame.loc[3, "BMI"] = 250
    with pytest.raises(InvalidSurveyError, match="line 5, column BMI: found 250"):
        validate(frame.drop(index=[0, 1]))


def test_the_first_ten_problems_are_shown_in_the_order_of_the_file_and_the_rest_counted(frame: pd.DataFrame) -> None:
    frame.loc[4:, "Age"] = 14
    frame.loc[28, "BMI"] = 9
    with pytest.raises(InvalidSurveyError) as raised:
        validate(frame)
    lines = str(raised.value).splitlines()
    assert lines[0] == "The survey has 27 values that do not fit:"
    assert [line.split(",")[0].strip() for line in lines[1:11]] == [f"line {number}" for number in range(6, 16)]
    assert lines[11].strip() == "and 17 more"


def test_a_long_cell_is_shortened(frame: pd.DataFrame) -> None:
    broken = frame.astype(object)
    broken.loc[0, "Age"] = "x" * 10_000
    with pytest.raises(InvalidSurveyError) as raised:
        validate(broken)
    assert len(str(raised.value)) < 400


def test_missing_unknown_and_repeated_columns_are_named(frame: pd.DataFrame) -> None:
    with pytest.raises(InvalidSurveyError, match=r"missing columns GenHlth, Age\. Use the 22 columns"):
        validate(frame.drop(columns=["GeneralHealth", "Age"]))
    with pytest.raises(InvalidSurveyError, match="unknown column Weight"):
        validate(frame.assign(Weight=80))
    with pytest.raises(InvalidSurveyError, match=r"unknown column general_health \(did you mean GeneralHealth\?\)"):
        validate(frame.rename(columns={"GeneralHealth": "general_health"}))
    with pytest.raises(InvalidSurveyError, match="there twice column HighBloodPressure"):
        validate(frame.assign(HighBP=1))


def test_another_separator_is_recognized() -> None:
    with pytest.raises(InvalidSurveyError, match="separated by semicolons; separate it by commas"):
        validate(pd.DataFrame({";".join(READABLE_NAMES): ["0;1"]}))


def test_no_rows_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(InvalidSurveyError, match="a header and no rows"):
        validate(frame.iloc[:0])
