"""From answers to the row that the model was trained on: BMI, GeneralHealth, Age, Income; NaN where there is none."""

import math

from diabetes_risk_model.prediction.schemas import (
    MAXIMUM_BODY_MASS_INDEX,
    MINIMUM_BODY_MASS_INDEX,
    Age,
    DiabetesRiskModelInput,
    GeneralHealth,
    Income,
)

Row = tuple[float, float, float, float]

# Members of a StrEnum are found by their plain text too.
_GENERAL_HEALTH: dict[str | None, float] = {None: math.nan, **{m: float(c) for c, m in enumerate(GeneralHealth, 1)}}
_AGE: dict[str | None, float] = {None: math.nan, **{m: float(c) for c, m in enumerate(Age, 1)}}
_INCOME: dict[str | None, float] = {None: math.nan, **{m: float(c) for c, m in enumerate(Income, 1)}}
_FIELDS = frozenset(DiabetesRiskModelInput.model_fields)


def encode(data: DiabetesRiskModelInput) -> Row:
    """Return the row of validated answers."""
    return (
        math.nan if data.body_mass_index is None else data.body_mass_index,
        _GENERAL_HEALTH[data.general_health],
        _AGE[data.age],
        _INCOME[data.income],
    )


def encode_plain(answers: object) -> Row | None:
    """Return the row of answers as JSON has them, or None where the schema must say whether they fit.

    It knows only answers that fit plainly, which are nearly all of them, and is several times as fast as the schema.
    """
    if type(answers) is not dict or not answers.keys() <= _FIELDS:
        return None
    index = answers.get("body_mass_index")
    if index is None:
        index = math.nan
    elif type(index) not in (float, int) or not MINIMUM_BODY_MASS_INDEX <= index <= MAXIMUM_BODY_MASS_INDEX:
        return None
    try:
        return (
            index,
            _GENERAL_HEALTH[answers.get("general_health")],
            _AGE[answers.get("age")],
            _INCOME[answers.get("income")],
        )
    except (KeyError, TypeError):  # an unknown answer, or one that is not text
        return None
