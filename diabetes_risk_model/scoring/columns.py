"""Which columns of a data file hold the model's four answers, and in which of their forms.

An answer comes as the service takes it (`general_health`, with texts such as GOOD), or as the survey has it: as a code,
under the survey's name (`GenHlth`) or the readable one of training (`GeneralHealth`). The column's name says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from diabetes_risk_model.data.columns import AGE, BMI, GENERAL_HEALTH, INCOME, Column
from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.prediction.problems import printable
from diabetes_risk_model.prediction.schemas import (
    MAXIMUM_BODY_MASS_INDEX,
    MINIMUM_BODY_MASS_INDEX,
    Age,
    DiabetesRiskModelInput,
    GeneralHealth,
    Income,
)

_MOST_SHOWN = 30


@dataclass(frozen=True)
class Form:
    """What a column may hold; what is missing is imputed.

    Attributes:
        column: its name in the file.
        minimum: smallest valid number.
        maximum: largest valid number.
        whole: whether numbers are codes, and so have to be whole.
        texts: valid texts, the first of which is code 1; empty where the column holds numbers.
    """

    column: str
    minimum: float
    maximum: float
    whole: bool
    texts: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What is valid, in words."""
        if self.texts:
            return f"one of {', '.join(self.texts)}"
        return f"a {'whole ' if self.whole else ''}number from {self.minimum:g} to {self.maximum:g}"


def find_forms(columns: Sequence[str], where: str) -> tuple[Form, ...]:
    """Return the forms of the four answers, in the order of the training columns.

    Args:
        columns: names of the file's columns. Others than the four answers are passed over.
        where: the file's address, for messages.

    Raises:
        DataError: an answer has no column, or more than one.
    """
    return tuple(_find(name, forms, columns, where) for name, forms in _FORMS.items())


def _find(name: str, forms: Mapping[str, Form], columns: Sequence[str], where: str) -> Form:
    present = [column for column in columns if column in forms]
    if len(present) == 1:
        return forms[present[0]]
    expected = f"one column for {name}, which may be called {', '.join(forms)}"
    shown = [printable(column) for column in (present or columns)[:_MOST_SHOWN]]
    raise DataError(
        f"{where} has {'several columns' if present else 'no column'} for {name}: expected {expected}; "
        f"found {', '.join(shown) or 'none'}. Name one column so; leave it empty where the answer is not known."
    )


def _forms(name: str, column: Column, texts: type[StrEnum] | None) -> dict[str, Form]:
    codes = column.minimum, column.maximum, texts is not None
    forms = {survey: Form(survey, *codes, ()) for survey in (column.code, column.name)}
    if texts is None:
        return {name: Form(name, MINIMUM_BODY_MASS_INDEX, MAXIMUM_BODY_MASS_INDEX, False, ()), **forms}
    return {name: Form(name, *codes, tuple(member.value for member in texts)), **forms}


_FORMS: Mapping[str, Mapping[str, Form]] = {
    name: _forms(name, column, texts)
    for name, (column, texts) in zip(
        DiabetesRiskModelInput.model_fields,
        ((BMI, None), (GENERAL_HEALTH, GeneralHealth), (AGE, Age), (INCOME, Income)),
        strict=True,
    )
}
