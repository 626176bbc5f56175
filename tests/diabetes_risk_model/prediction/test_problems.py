import pytest
from pydantic import ValidationError

from diabetes_risk_model.prediction.problems import printable, shortened
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput


def test_a_name_that_a_client_chose_is_cut_and_escaped():
    assert printable("age") == "age"
    assert printable("\x00\r\nforged") == r"\x00\r\nforged"
    assert printable("x" * 5_000) == "x" * 60 + "..."


@pytest.mark.parametrize("number", [0, 4, 32])
def test_as_many_fields_as_a_schema_may_have_stay(number):
    fields = {f"k{index}": index for index in range(number)}
    assert shortened(fields) is fields


@pytest.mark.parametrize("other", [None, 3, [{}] * 100, "x" * 100])
def test_what_has_no_fields_stays(other):
    assert shortened(other) is other


def test_of_very_many_fields_a_few_are_described_and_still_refused():
    with pytest.raises(ValidationError) as refused:
        DiabetesRiskModelInput.model_validate(shortened({"age": "FROM_80", **{f"k{n}": n for n in range(100_000)}}))
    assert refused.value.error_count() == 31
