"""Loads the survey: from a file, from Kaggle or from the embedded survey, and says which.

The source is chosen by name. Where a source that was chosen fails, the call fails; no other source takes its place.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from diabetes_risk_model.data import embedded, kaggle_file
from diabetes_risk_model.data.columns import TARGET
from diabetes_risk_model.data.csv_file import read_csv
from diabetes_risk_model.data.errors import DataError, InvalidSurveyError, KaggleError, SurveyFileError
from diabetes_risk_model.data.validation import validate

AUTO, KAGGLE, EMBEDDED, FILE = "auto", "kaggle", "embedded", "file"
FILE_VARIABLE = "DIABETES_DATA"
EMBEDDED_ROWS = 70_692
_MOST_EMBEDDED_ROWS = 5_000_000
_WHERE = {
    AUTO: f"{FILE_VARIABLE} is not set and there are no Kaggle credentials",
    EMBEDDED: "as asked for",
}


@dataclass(frozen=True)
class Survey:
    """A valid survey, and where it comes from.

    Attributes:
        frame: rows by 22 columns of int64, with readable names, target first.
        source: "file", "kaggle" or "embedded".
        description: one sentence for people: the source, the number of rows, and the digest or the seed.
        origin: what identifies the source: "sha256" of the file, in hexadecimal, or "seed" of the embedded survey;
            "sample_seed" too, where the rows are a sample of a file.
    """

    frame: pd.DataFrame
    source: str
    description: str
    origin: Mapping[str, str | int] = field(default_factory=dict)

    def manifest(self) -> dict[str, object]:
        """Describe the survey for a JSON file: source, description, rows, digest or seed, columns."""
        return {
            "source": self.source,
            "description": self.description,
            "rows": len(self.frame),
            **self.origin,
            "columns": list(self.frame.columns),
        }


def load_survey(source: str = AUTO, *, rows: int | None = None, seed: int = 42) -> Survey:
    """Load a survey. The same arguments and the same file give the same rows in the same order.

    Args:
        source: "kaggle", "embedded", the path of a CSV file, or "auto": the file that the environment variable
            DIABETES_DATA names, else Kaggle where there are credentials, else the embedded survey.
        rows: how many rows, at least 2. Of a file, a shuffled sample in which the shares of the classes are kept, or
            the whole file in its own order if it has no more rows; of the embedded survey, up to 5 million.
            Without it the whole file, or 70,692 embedded rows.
        seed: of the sample or of the embedded rows, 0 or more.

    Raises:
        DataError: if the source cannot be read or fetched, if its rows are not valid, or if `rows` or `seed` is too
            small. No other source is tried then.
    """
    if not source.strip():
        raise DataError('The source is empty; expected "auto", "kaggle", "embedded" or the path of a CSV file.')
    if rows is not None and rows < 2:
        raise DataError(f"Cannot load {rows} rows; expected at least 2, one without diabetes and one with.")
    if seed < 0:
        raise DataError(f"Cannot use seed {seed}; expected 0 or more.")
    named = os.environ.get(FILE_VARIABLE)
    if source == AUTO and named:
        try:
            return _from_file(Path(named), rows, seed)
        except SurveyFileError as error:
            raise SurveyFileError(f"{error} The path comes from the environment variable {FILE_VARIABLE}.") from error
    if source == KAGGLE or (source == AUTO and kaggle_file.has_credentials()):
        return _from_kaggle(source, rows, seed)
    if source in (AUTO, EMBEDDED):
        return _from_embedded(source, rows or EMBEDDED_ROWS, seed)
    return _from_file(Path(source), rows, seed)


def _from_embedded(asked: str, rows: int, seed: int) -> Survey:
    if rows > _MOST_EMBEDDED_ROWS:
        raise DataError(
            f"Cannot draw {rows:,} rows of the embedded survey; expected at most {_MOST_EMBEDDED_ROWS:,}, which the "
            "memory of a common machine holds. Draw them in parts, with other seeds."
        )
    frame = validate(embedded.draw(rows, seed))
    description = f"the embedded survey ({_WHERE[asked]}): {rows:,} synthetic rows drawn with seed {seed}"
    return Survey(frame, EMBEDDED, description, {"seed": seed})


def _from_kaggle(asked: str, rows: int | None, seed: int) -> Survey:
    try:
        path = kaggle_file.fetch()
    except KaggleError as error:
        if asked == KAGGLE:
            raise
        raise KaggleError(f"{error} Kaggle was tried because there are credentials for it.") from error
    try:
        frame, sha256 = _read(path)
    except DataError as error:
        raise KaggleError(f"{error} Kaggle sent this file; to fetch it again, delete it first.") from error
    differs = (
        "" if sha256 == kaggle_file.SHA256 else "; WARNING: its digest is not the known one, Kaggle's file changed"
    )
    return _survey(frame, KAGGLE, f"Kaggle dataset {kaggle_file.DATASET}", sha256, rows, seed, differs)


def _from_file(path: Path, rows: int | None, seed: int) -> Survey:
    frame, sha256 = _read(path.expanduser())
    return _survey(frame, FILE, f"file {path.name}", sha256, rows, seed)


def _read(path: Path) -> tuple[pd.DataFrame, str]:
    """Read and check a file; the errors name it."""
    raw, sha256 = read_csv(path)
    try:
        frame = validate(raw)
    except InvalidSurveyError as error:
        raise InvalidSurveyError(f"{path}: {error}") from None
    classes = frame[TARGET.name].unique()
    if len(classes) == 1:
        raise InvalidSurveyError(
            f"{path}: column {TARGET.name} ({TARGET.code}) is {classes[0]} in every row; expected both 0 and 1, "
            "as a model learns to tell them apart. Use the whole file."
        )
    return frame, sha256


def _survey(
    frame: pd.DataFrame, source: str, name: str, sha256: str, rows: int | None, seed: int, remark: str = ""
) -> Survey:
    origin: dict[str, str | int] = {"sha256": sha256}
    count = f"{len(frame):,} rows"
    if rows is not None and rows < len(frame):
        count = f"a sample of {rows:,} of {len(frame):,} rows (seed {seed})"
        origin["sample_seed"] = seed
        frame = _sample(frame, rows, seed)
    return Survey(frame, source, f"{name}: {count}, SHA-256 {sha256}{remark}", origin)


def _sample(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """Draw rows without replacement, keep the shares of the classes (at least one row of each), and shuffle."""
    generator = np.random.default_rng(seed)
    target = frame[TARGET.name].to_numpy()
    positive = np.flatnonzero(target == 1)
    negative = np.flatnonzero(target == 0)
    wanted = min(max(round(rows * len(positive) / len(frame)), 1), rows - 1)
    chosen = np.concatenate(
        [generator.permutation(negative)[: rows - wanted], generator.permutation(positive)[:wanted]]
    )
    return frame.iloc[generator.permutation(chosen)].reset_index(drop=True)
