"""The training profile: how the answers and the predictions of the training rows are distributed.

It is an entry of the package, `training_profile.json`, and signed with it. It holds counts only: no respondent's row
can be read from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from signed_parameters import MalformedPackage

FILE = "training_profile.json"
RISK, PROBABILITY = "risk", "probability"
NAMES = (*INPUT_COLUMNS, RISK, PROBABILITY)
LONGEST = 1 << 20
_MOST_BINS = 1_000
_MOST_ROWS = 1 << 53

_Count = Annotated[int, Field(ge=0, le=_MOST_ROWS)]
_Cut = Annotated[float, Field(allow_inf_nan=False)]


class Distribution(BaseModel):
    """How often values of one kind occur.

    Attributes:
        name: of the column; `risk` (0 or 1) and `probability` are those of the predictions.
        cuts: ascending. Bin k holds the values from cuts[k - 1] on to below cuts[k].
        counts: rows in each bin; one more than cuts.
        missing: rows without a value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    cuts: tuple[_Cut, ...] = Field(max_length=_MOST_BINS)
    counts: tuple[_Count, ...]
    missing: _Count

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.counts) != len(self.cuts) + 1:
            raise ValueError(f"expected {len(self.cuts) + 1} counts, found {len(self.counts)}")
        if any(left >= right for left, right in pairwise(self.cuts)):
            raise ValueError("expected cuts that ascend")
        return self

    @property
    def rows(self) -> int:
        """How many rows there are, with those without a value."""
        return sum(self.counts) + self.missing

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value, 0 to 1."""
        return self.missing / self.rows if self.rows else 0.0

    def bin(self, value: float) -> int:
        """Return the number of a value's bin."""
        return bisect_right(self.cuts, value)


class TrainingProfile(BaseModel):
    """The distributions of the training rows.

    Attributes:
        format: of the file.
        rows: how many there are.
        distributions: of the four answers, the predicted class, and the probability, in this order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["diabetes_risk_model.training_profile.v1"] = "diabetes_risk_model.training_profile.v1"
    rows: Annotated[int, Field(ge=1, le=_MOST_ROWS)]
    distributions: tuple[Distribution, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = tuple(each.name for each in self.distributions)
        if names != NAMES:
            raise ValueError(f"expected the distributions {', '.join(NAMES)}")
        for each in self.distributions:
            if each.rows != self.rows:
                raise ValueError(f"expected {self.rows} rows of {each.name}, found {each.rows}")
        if self[RISK].cuts != (0.5,):
            raise ValueError("expected one cut of the risk, at 0.5")
        return self

    def __getitem__(self, name: str) -> Distribution:
        """Return the distribution of a name."""
        return self.distributions[NAMES.index(name)]

    def to_bytes(self) -> bytes:
        """Return the file. The same profile gives the same bytes."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> TrainingProfile:
        """Read the file.

        Raises:
            MalformedPackage: it is not what `to_bytes` writes.
        """
        try:
            if len(data) > LONGEST:
                raise ValueError(f"more than {LONGEST:,} bytes")
            return cls.model_validate_json(data)
        except ValueError as error:
            raise MalformedPackage(
                f"{FILE} is no training profile",
                expected="counts in the form that training writes",
                found=_reason(error),
                remedy="Train and package the model again.",
            ) from None


def distribution(name: str, cuts: Sequence[float], counts: Sequence[int], missing: int = 0) -> Distribution:
    """Return a distribution of numbers of any type, numpy's included."""
    return Distribution(name=name, cuts=tuple(map(float, cuts)), counts=tuple(map(int, counts)), missing=int(missing))


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{problem['msg']}{f' at {where}' if where else ''}"[:200]
