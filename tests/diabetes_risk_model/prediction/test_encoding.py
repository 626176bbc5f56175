import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diabetes_risk_model.prediction.encoding import RowsOfColumns, encode, encode_columns, encode_plain
from diabetes_risk_model.prediction.schemas import Age, DiabetesRiskModelInput, GeneralHealth, Income

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FITTING = {
    "body_mass_index": st.none() | st.floats(15, 60) | st.integers(15, 60),
    "general_health": st.none() | st.sampled_from([member.value for member in GeneralHealth]),
    "age": st.none() | st.sampled_from([member.value for member in Age]),
    "income": st.none() | st.sampled_from([member.value for member in Income]),
}
FITTING_ROWS = st.fixed_dictionaries({}, optional=FITTING)
ANY_ROWS = st.fixed_dictionaries(
    {}, optional={name: values | JSON_VALUES for name, values in FITTING.items()} | {"weight": JSON_VALUES}
)


def by_schema(row):
    try:
        return encode(DiabetesRiskModelInput.model_validate(row))
    except ValidationError:
        return None


def same(one, other):
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, other, strict=True))


@given(FITTING_ROWS)
def test_the_plain_way_knows_every_row_that_fits_and_gives_the_schemas_answer(row):
    assert same(encode_plain(row), by_schema(row))


@given(ANY_ROWS | JSON_VALUES)
def test_the_plain_way_never_takes_what_the_schema_refuses(row):
    plain = encode_plain(row)
    expected = by_schema(row)
    assert plain is None or same(plain, expected)


@pytest.mark.parametrize("index", [14.999, 60.001, math.nan, math.inf, True, 10**400, "28"])
def test_a_body_mass_index_that_does_not_fit_is_left_to_the_schema(index):
    assert encode_plain({"body_mass_index": index}) is None


@given(st.lists(FITTING_ROWS | ANY_ROWS, max_size=6))
def test_columns_are_those_of_the_rows_one_by_one(rows):
    """Known as columns exactly where each row is known by itself."""
    columns = encode_columns(rows)
    plain = [encode_plain(row) for row in rows]
    if None in plain:
        assert columns is None
        return
    assert columns is not None
    assert {len(column) for column in columns} == {len(rows)}
    assert all(same(row, of_columns) for row, of_columns in zip(plain, zip(*columns, strict=True), strict=True))


@given(st.lists(JSON_VALUES, max_size=4))
def test_columns_are_not_made_of_what_is_no_row(rows):
    assert (encode_columns(rows) is None) is any(encode_plain(row) is None for row in rows)


@pytest.mark.parametrize("index", [14.999, 60.001, math.nan, math.inf, -math.inf, True, 10**400, "28"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_row_that_does_not_fit_leaves_all_to_the_schema(index, place):
    rows = [{"body_mass_index": 28.5}, {}, {"body_mass_index": 60, "age": None}]
    assert encode_columns(rows) is not None
    rows[place] = {"body_mass_index": index}
    assert encode_columns(rows) is None


def test_rows_of_columns_are_rows():
    rows = RowsOfColumns({"age": ["FROM_80", None, "OLD"], "income": (1, 2, 3)}, 3)
    whole = [{"age": "FROM_80", "income": 1}, {"age": None, "income": 2}, {"age": "OLD", "income": 3}]
    assert list(rows) == whole
    assert (len(rows), rows[-1], rows[1:], rows[::-1]) == (3, whole[2], whole[1:], whole[::-1])
    with pytest.raises(IndexError):
        rows[3]
    assert list(RowsOfColumns({}, 2)) == [{}, {}]
    assert list(RowsOfColumns({"age": []}, 0)) == []


@given(st.lists(st.fixed_dictionaries({name: values | st.just("x") for name, values in FITTING.items()}), max_size=5))
def test_rows_of_columns_are_encoded_as_their_rows(rows):
    by_column = RowsOfColumns({name: [row[name] for row in rows] for name in FITTING}, len(rows))
    expected, found = encode_columns(rows), encode_columns(by_column)
    assert (expected is None) == (found is None)
    if expected is not None:
        assert all(same(*columns) for columns in zip(expected, found, strict=True))


def test_a_column_that_is_not_the_schemas_is_left_to_it():
    assert encode_columns(RowsOfColumns({"age": ["FROM_80"]}, 1)) is not None
    assert encode_columns(RowsOfColumns({"age": ["FROM_80"], "weight": [80]}, 1)) is None
