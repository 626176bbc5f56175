"""Every value leads to the same place as it does for a single row."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diabetes_risk_model.prediction.table import Axis
from diabetes_risk_model.scoring.columns import Form
from diabetes_risk_model.scoring.encoding import ColumnEncoder

MEASURE = Form("BMI", 15.0, 60.0, False, ())
CODE = Form("Age", 1, 13, True, ())
TEXT = Form("general_health", 1, 5, True, ("EXCELLENT", "VERY_GOOD", "GOOD", "FAIR", "POOR"))
CUTS = (1.5, 2.5, 4.5)


def _encode(form: Form, values: Sequence[Any], kind: Any = None, cuts: tuple[float, ...] = CUTS) -> tuple[Any, Any]:
    column = values if isinstance(values, pa.Array) else pa.array(values, kind)
    encoded = ColumnEncoder(Axis("x", cuts, 2.0), 10, form).encode(column)
    wrong = [False] * len(column) if encoded.wrong is None else encoded.wrong.tolist()
    return encoded.places.tolist(), wrong


@given(
    cuts=st.lists(st.floats(1, 100), unique=True, max_size=30).map(sorted),
    values=st.lists(st.floats(15, 60), max_size=20),
)
def test_a_measure_leads_to_its_cell(cuts: list[float], values: list[float]) -> None:
    axis = Axis("BMI", tuple(cuts), 29.0)
    near = [around for cut in cuts for around in (math.nextafter(cut, 0), cut, math.nextafter(cut, 100))]
    tried = [value for value in [*values, *near, 15.0, 60.0] if 15 <= value <= 60]
    places, wrong = _encode(MEASURE, tried, cuts=tuple(cuts))
    assert places == [axis.cell(value) * 10 for value in tried]
    assert not any(wrong)


def test_cuts_that_lie_too_close_for_buckets_are_searched_for() -> None:
    cuts = (20.0, math.nextafter(20.0, 60.0), 30.0)
    assert _encode(MEASURE, [19.0, *cuts, 60.0], cuts=cuts)[0] == [0, 10, 20, 30, 30]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int64(), pa.float32(), pa.float64()])
def test_codes_of_every_type_of_number(kind: pa.DataType) -> None:
    assert _encode(CODE, [1, 2, 13, None, 5], kind) == ([0, 10, 30, 10, 30], [False] * 5)


@pytest.mark.parametrize("value", [0, 14, -1, 100])
def test_a_code_that_there_is_not_is_wrong(value: int) -> None:
    for kind in (pa.int8(), pa.float64()):
        assert _encode(CODE, [1, value, None], kind)[1] == [False, True, False]


@pytest.mark.parametrize("value", [1.5, math.inf, -math.inf, 1e300, 13.000001])
def test_a_number_that_is_no_code_is_wrong(value: float) -> None:
    assert _encode(CODE, [value, 3.0])[1] == [True, False]


def test_nan_is_a_missing_answer() -> None:
    assert _encode(CODE, pa.array(np.array([math.nan, 3.0]))) == ([10, 20], [False, False])
    assert _encode(MEASURE, pa.array(np.array([math.nan, 20.0]))) == ([10, 30], [False, False])


def test_a_column_without_any_answer() -> None:
    assert _encode(CODE, pa.nulls(2)) == ([10, 10], [False, False])


@pytest.mark.parametrize("dictionary", [False, True])
def test_texts_of_the_service(dictionary: bool) -> None:
    column = pa.array(["GOOD", None, "good", "", "POOR", "3"])
    column = column.dictionary_encode() if dictionary else column
    assert _encode(TEXT, column) == ([20, 10, 10, 10, 30, 10], [False, False, True, False, False, True])


@pytest.mark.parametrize("text", ["x", "1_0", "0x5", "nan", "inf", "--3", "2.5", "14", "\ufffd", "=1+1"])
def test_a_text_that_is_no_code_is_wrong_whatever_stands_beside_it(text: str) -> None:
    assert _encode(CODE, [text, "2"])[1] == [True, False]
    assert _encode(CODE, [text, "y", "2"])[1] == [True, True, False]


@pytest.mark.parametrize("text", ["3", "3.0", "+3", " 3", "3e0", "03"])
def test_a_number_as_text_is_read_the_same_whatever_stands_beside_it(text: str) -> None:
    assert _encode(CODE, [text]) == ([20], [False])
    assert _encode(CODE, [text, "x"])[0][0] == 20


def test_a_dictionary_of_numbers() -> None:
    assert _encode(CODE, pa.array([2, 5, 2]).dictionary_encode())[0] == [10, 30, 10]


def test_bytes_that_are_no_text_are_wrong() -> None:
    column = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff"))
    assert _encode(CODE, column)[1] == [True]


def test_a_problem_says_what_is_expected_and_cannot_forge_a_line() -> None:
    encoder = ColumnEncoder(Axis("x", CUTS, 2.0), 10, CODE)
    assert encoder.problem("9\n9") == r"expected a whole number from 1 to 13; found '9\\n9'"
    assert len(encoder.problem("9" * 10_000)) < 200
