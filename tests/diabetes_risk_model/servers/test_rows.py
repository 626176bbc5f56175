"""Tables of clients: what they may be, and what they are told of the others."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diabetes_risk_model.prediction.batch import predict_batch
from diabetes_risk_model.prediction.encoding import Columns
from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.servers.rows import FIELDS, BadTable, describe_errors, read_columns, read_matrix

NAMED = [31.5, "FAIR", "FROM_60_TO_64", "UNDER_20_000"]
CODED = [31.5, 4, 9, 3]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.none(), max_size=2)


def halves(columns: Columns) -> list[float]:
    return [0.5] * len(columns[0])


@pytest.mark.parametrize("row", [NAMED, CODED, [float(value) for value in CODED], ["31.5", *NAMED[1:]]])
def test_codes_names_and_numbers_as_text_are_the_same_row(row: list[Any]) -> None:
    assert read_matrix([row])[0] == dict(zip(FIELDS, NAMED, strict=True))


@pytest.mark.parametrize("missing", [None, math.nan, ""])
def test_what_is_missing_is_none(missing: object) -> None:
    assert read_matrix([[missing] * 4])[0] == dict.fromkeys(FIELDS)


def test_columns_may_stand_in_any_order_and_be_left_out() -> None:
    assert read_matrix([[3, 31.5]], ["income", "body_mass_index"])[0] == {"income": NAMED[3], "body_mass_index": 31.5}
    assert list(read_columns({"age": [9, 1.0]})) == [{"age": "FROM_60_TO_64"}, {"age": "FROM_18_TO_24"}]


@pytest.mark.parametrize(
    ("name", "kind"), [("general_health", GeneralHealth), ("age", Age), ("income", Income)], ids=lambda one: str(one)
)
def test_every_code_is_a_member_and_no_other_number_is(name: str, kind: Any) -> None:
    codes = range(1, len(kind) + 1)
    assert [row[name] for row in read_columns({name: list(codes)})] == [member.value for member in kind]
    for other in (0, len(kind) + 1, 1.5, -1, math.inf, True):
        assert predict_batch(list(read_columns({name: [other]})), halves).errors


@pytest.mark.parametrize(
    ("rows", "names", "told"),
    [
        ([[1]], ["x"], "'x' is none of them"),
        ([[1]], ["\n" * 100], "is none of them"),
        ([[1, 2]], ["age", "age"], "named once"),
        ([[1]], [], "Every row must have 4 values"),
        ([CODED, CODED[:3]], [], "Every row must have 4 values"),
        ([7], [], "Every row must have 4 values"),
        (["abcd"], [], "Every row must have 4 values"),
    ],
)
def test_a_table_that_does_not_fit_is_explained_in_one_line(rows: Any, names: Sequence[str], told: str) -> None:
    with pytest.raises(BadTable) as refused:
        read_matrix(rows, names)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_columns_of_different_lengths_are_refused() -> None:
    for columns in ({"age": [1], "income": [1, 2]}, {}):
        with pytest.raises(BadTable):
            read_columns(columns)


def test_of_many_bad_rows_a_few_are_named() -> None:
    batch = predict_batch(list(read_columns({"age": [99] * 1_000})), halves)
    told = describe_errors(batch)
    assert told.startswith("Row 0, field 'age': ")
    assert told.endswith("There are more.")
    assert len(told) < 2_000
    assert describe_errors(predict_batch(list(read_columns({"age": [1]})), halves)) == ""


@given(st.lists(st.lists(VALUES, max_size=5), max_size=3))
def test_whatever_comes_is_answered_or_explained(rows: list[list[object]]) -> None:
    try:
        table = read_matrix(rows)
    except BadTable:
        return
    batch = predict_batch(table, halves)
    assert len(batch.probabilities) == len(rows)
    assert bool(batch.errors) == any(probability != probability for probability in batch.probabilities)
