"""The columns of the survey: code in the file, readable name, range, and meaning, each defined here and nowhere else.

Source: the balanced file of the Diabetes Health Indicators Dataset (BRFSS 2015, CDC).
Every column of the file holds whole numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_MOST_LABELS_SHOWN = 6
_YES_NO: Mapping[int, str] = MappingProxyType({0: "no", 1: "yes"})


@dataclass(frozen=True)
class Column:
    """One column of the survey.

    Attributes:
        code: name in the file.
        name: readable name, used everywhere behind the reading of the file.
        minimum: smallest valid value.
        maximum: largest valid value.
        description: what a respondent was asked, with the unit.
        labels: meaning of each value, for the columns that are codes; empty for counts and measures.
    """

    code: str
    name: str
    minimum: int
    maximum: int
    description: str
    labels: Mapping[int, str] = field(default_factory=dict)

    @property
    def values(self) -> range:
        """Every valid value, from the smallest to the largest."""
        return range(self.minimum, self.maximum + 1)

    @property
    def expected(self) -> str:
        """The valid values in words, such as "0 (no) or 1 (yes)"; the ends of the range where there are many."""
        if not self.labels:
            return f"a whole number from {self.minimum} to {self.maximum}"
        labelled = [f"{value} ({label})" for value, label in self.labels.items()]
        if len(labelled) > _MOST_LABELS_SHOWN:
            return f"a whole number from {labelled[0]} to {labelled[-1]}"
        return f"{', '.join(labelled[:-1])} or {labelled[-1]}"


def _yes_no(code: str, name: str, description: str) -> Column:
    return Column(code, name, 0, 1, description, _YES_NO)


def _coded(code: str, name: str, description: str, labels: list[str]) -> Column:
    numbered = MappingProxyType(dict(enumerate(labels, start=1)))
    return Column(code, name, 1, len(labels), description, numbered)


TARGET = _yes_no("Diabetes_binary", "Diabetes", "Has diabetes or prediabetes.")

BMI = Column("BMI", "BMI", 10, 100, "Body mass index, in kilograms per square metre.")
GENERAL_HEALTH = _coded(
    "GenHlth",
    "GeneralHealth",
    "General health, in the respondent's own judgement.",
    ["excellent", "very good", "good", "fair", "poor"],
)
AGE = _coded(
    "Age",
    "Age",
    "Age group, in years.",
    [f"{start}-{end}" for start, end in [(18, 24), *((low, low + 4) for low in range(25, 80, 5))]] + ["80 or older"],
)
INCOME = _coded(
    "Income",
    "Income",
    "Household income a year, in US dollars.",
    [
        *(f"under {limit:,}" for limit in (10_000, 15_000, 20_000, 25_000, 35_000, 50_000, 75_000)),
        "75,000 or more",
    ],
)

FEATURES: tuple[Column, ...] = (
    _yes_no("HighBP", "HighBloodPressure", "Was told of high blood pressure."),
    _yes_no("HighChol", "HighCholesterol", "Was told of high cholesterol."),
    _yes_no("CholCheck", "CholesterolCheck", "Had cholesterol checked in the last five years."),
    BMI,
    _yes_no("Smoker", "Smoker", "Smoked at least 100 cigarettes in life."),
    _yes_no("Stroke", "Stroke", "Was told of a stroke."),
    _yes_no("HeartDiseaseorAttack", "HeartDiseaseOrAttack", "Had coronary heart disease or a heart attack."),
    _yes_no("PhysActivity", "PhysicalActivity", "Was physically active in the last 30 days, outside work."),
    _yes_no("Fruits", "Fruits", "Eats fruit at least once a day."),
    _yes_no("Veggies", "Vegetables", "Eats vegetables at least once a day."),
    _yes_no("HvyAlcoholConsump", "HeavyAlcoholConsumption", "Drinks more than 14 (men) or 7 (women) a week."),
    _yes_no("AnyHealthcare", "AnyHealthcare", "Has health-care coverage of any kind."),
    _yes_no("NoDocbcCost", "NoDoctorBecauseOfCost", "Needed a doctor in the last year and could not afford one."),
    GENERAL_HEALTH,
    Column("MentHlth", "MentalHealth", 0, 30, "Days of poor mental health in the last 30."),
    Column("PhysHlth", "PhysicalHealth", 0, 30, "Days of poor physical health in the last 30."),
    _yes_no("DiffWalk", "DifficultyWalking", "Has serious difficulty walking or climbing stairs."),
    Column("Sex", "Sex", 0, 1, "Sex.", MappingProxyType({0: "female", 1: "male"})),
    AGE,
    _coded(
        "Education",
        "Education",
        "Highest level of education.",
        [
            "none or kindergarten",
            "grades 1-8",
            "grades 9-11",
            "grade 12 or GED",
            "college, 1-3 years",
            "college, 4 years or more",
        ],
    ),
    INCOME,
)

COLUMNS: tuple[Column, ...] = (TARGET, *FEATURES)
READABLE_NAMES: Mapping[str, str] = MappingProxyType({column.code: column.name for column in COLUMNS})
