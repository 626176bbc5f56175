"""What goes into the model and what comes out, as pydantic models.

Each enumeration lists the codes of its survey column in their order: the first member is code 1.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MINIMUM_BODY_MASS_INDEX = 15.0
MAXIMUM_BODY_MASS_INDEX = 60.0


class GeneralHealth(StrEnum):
    """General health, in the person's own judgement."""

    EXCELLENT = "EXCELLENT"
    VERY_GOOD = "VERY_GOOD"
    GOOD = "GOOD"
    FAIR = "FAIR"
    POOR = "POOR"


class Age(StrEnum):
    """Age group, in years."""

    FROM_18_TO_24 = "FROM_18_TO_24"
    FROM_25_TO_29 = "FROM_25_TO_29"
    FROM_30_TO_34 = "FROM_30_TO_34"
    FROM_35_TO_39 = "FROM_35_TO_39"
    FROM_40_TO_44 = "FROM_40_TO_44"
    FROM_45_TO_49 = "FROM_45_TO_49"
    FROM_50_TO_54 = "FROM_50_TO_54"
    FROM_55_TO_59 = "FROM_55_TO_59"
    FROM_60_TO_64 = "FROM_60_TO_64"
    FROM_65_TO_69 = "FROM_65_TO_69"
    FROM_70_TO_74 = "FROM_70_TO_74"
    FROM_75_TO_79 = "FROM_75_TO_79"
    FROM_80 = "FROM_80"


class Income(StrEnum):
    """Household income a year, in US dollars: the first limit that it is under."""

    UNDER_10_000 = "UNDER_10_000"
    UNDER_15_000 = "UNDER_15_000"
    UNDER_20_000 = "UNDER_20_000"
    UNDER_25_000 = "UNDER_25_000"
    UNDER_35_000 = "UNDER_35_000"
    UNDER_50_000 = "UNDER_50_000"
    UNDER_75_000 = "UNDER_75_000"
    FROM_75_000 = "FROM_75_000"


class DiabetesRisk(StrEnum):
    """Which answer the model finds likelier."""

    NO_DIABETES = "NO_DIABETES"
    DIABETES = "DIABETES"


class DiabetesRiskModelInput(BaseModel):
    """Four answers of one person. What is missing is imputed with what the training data hold on average."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    body_mass_index: Annotated[float, Field(strict=True)] | None = Field(
        default=None,
        ge=MINIMUM_BODY_MASS_INDEX,
        le=MAXIMUM_BODY_MASS_INDEX,
        allow_inf_nan=False,
        description="Body mass index, in kilograms per square metre.",
        examples=[28.5],
    )
    general_health: GeneralHealth | None = Field(default=None, description=GeneralHealth.__doc__, examples=["GOOD"])
    age: Age | None = Field(default=None, description=Age.__doc__, examples=["FROM_60_TO_64"])
    income: Income | None = Field(default=None, description=Income.__doc__, examples=["UNDER_50_000"])


class DiabetesRiskModelOutput(BaseModel):
    """The model's answer. It is a statistical estimate for teaching, not medical advice."""

    diabetes_risk: DiabetesRisk = Field(description="Which answer the model finds likelier.")
    probability: float = Field(
        ge=0.0,
        le=1.0,
        description="Probability of diabetes or prediabetes, in a population where half of the people have it.",
    )
