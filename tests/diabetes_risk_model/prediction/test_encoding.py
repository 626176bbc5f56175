import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diabetes_risk_model.prediction.encoding import encode, encode_plain
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
