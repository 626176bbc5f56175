import pytest
from pydantic import ValidationError

from diabetes_risk_model.data import columns
from diabetes_risk_model.prediction.schemas import (
    Age,
    DiabetesRiskModelInput,
    GeneralHealth,
    Income,
)


@pytest.mark.parametrize(
    ("enumeration", "column"),
    [(GeneralHealth, columns.GENERAL_HEALTH), (Age, columns.AGE), (Income, columns.INCOME)],
)
def test_enumerations_list_the_codes_of_their_columns_in_order(enumeration, column):
    assert len(enumeration) == column.maximum
    for label, member in zip(column.labels.values(), enumeration, strict=True):
        numbers_in_label = [int(part) for part in label.replace(",", "").replace("-", " ").split() if part.isdigit()]
        words = member.value.replace("_000", "000").split("_")
        assert [int(word) for word in words if word.isdigit()] == numbers_in_label, (label, member)


def test_general_health_has_the_columns_labels():
    assert [member.value.lower().replace("_", " ") for member in GeneralHealth] == [
        *columns.GENERAL_HEALTH.labels.values()
    ]


def test_every_field_may_be_missing_or_null():
    assert DiabetesRiskModelInput.model_validate({}) == DiabetesRiskModelInput.model_validate(
        dict.fromkeys(DiabetesRiskModelInput.model_fields)
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("body_mass_index", 14.99),
        ("body_mass_index", 60.01),
        ("body_mass_index", "28"),
        ("body_mass_index", True),
        ("body_mass_index", float("nan")),
        ("body_mass_index", float("inf")),
        ("body_mass_index", 10**400),
        ("body_mass_index", [28]),
        ("general_health", "SPLENDID"),
        ("general_health", "good"),
        ("general_health", 3),
        ("age", "18-24"),
        ("age", 41),
        ("income", "UNDER_1"),
        ("income", 20000),
        ("weight", 80),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fields_name(field, value):
    with pytest.raises(ValidationError) as caught:
        DiabetesRiskModelInput.model_validate({field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize("value", [15, 15.0, 28.5, 60])
def test_the_range_of_the_body_mass_index_includes_its_ends(value):
    assert DiabetesRiskModelInput(body_mass_index=value).body_mass_index == value
