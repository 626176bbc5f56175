"""What a valid survey is: a schema made from the columns, and errors that name line, column, value and remedy."""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pandera.errors
import pandera.pandas as pa

from diabetes_risk_model.data.columns import COLUMNS, READABLE_NAMES, Column
from diabetes_risk_model.data.errors import InvalidSurveyError

MOST_PROBLEMS_SHOWN = 10
_HEADER_LINES = 1
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_BY_NAME = {column.name: column for column in COLUMNS}


def schema() -> pa.DataFrameSchema:
    """Make the schema of a survey: every column, no other column, whole numbers in range, nothing missing."""
    columns = {
        column.name: pa.Column(float, pa.Check.isin(column.values, error=column.expected), nullable=False)
        for column in COLUMNS
    }
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


def validate(frame: pd.DataFrame) -> pd.DataFrame:
    """Check a survey and give it its final form.

    Args:
        frame: rows by columns, in any order of columns; numbers, or text that holds numbers ("1", "1.0"). The columns
            have the codes of the original file ("HighBP") or the readable names ("HighBloodPressure").
            Where the index holds whole numbers, label N is the row that stands in line N + 2 of a file with a header.

    Returns:
        A new frame with the readable names, target first, as int64, and a fresh index from 0.

    Raises:
        InvalidSurveyError: if a column is missing, unknown or there twice, if there are no rows, or if a value is
            missing, text, a fraction or out of range. The message shows the first problems and counts the others.
    """
    given = _check_columns([str(name) for name in frame.columns])
    if frame.empty:
        raise InvalidSurveyError("The survey has a header and no rows. Check that the file was written completely.")
    found = frame.set_axis([READABLE_NAMES.get(name, name) for name in given], axis="columns")
    found = found[[column.name for column in COLUMNS]]
    lines = _lines(frame.index)
    found.index = pd.RangeIndex(len(found))
    numbers = found.apply(pd.to_numeric, errors="coerce").astype("float64")
    try:
        valid: pd.DataFrame = schema().validate(numbers, lazy=True)
    except pandera.errors.SchemaErrors as error:
        codes = dict(zip((READABLE_NAMES.get(name, name) for name in given), given, strict=True))
        raise InvalidSurveyError(_describe(error.failure_cases, found, lines, codes)) from None
    return valid.astype("int64")


def _check_columns(given: Sequence[str]) -> Sequence[str]:
    """Return the names as given, or raise an error that says which are missing, unknown or there twice."""
    names = [READABLE_NAMES.get(name, name) for name in given]
    missing = [column.code for column in COLUMNS if column.name not in names]
    unknown = [name for name in names if name not in _BY_NAME]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = []
    if missing:
        problems.append(f"missing {_columns(missing)}")
    if unknown:
        problems.append("unknown " + _columns([_with_suggestion(name, missing) for name in unknown]))
    if twice:
        problems.append(f"there twice {_columns(twice)}")
    if not problems:
        return given
    advice = "Use the 22 columns of the original file, by their codes or their readable names, each once."
    separator = next((word for sign, word in _SEPARATORS.items() if len(given) == 1 and sign in given[0]), None)
    if separator:
        advice = f"The header seems to be separated by {separator}; separate it by commas."
    raise InvalidSurveyError(f"The survey's columns do not fit: {'; '.join(problems)}. {advice}")


def _columns(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_PROBLEMS_SHOWN])
    more = f" and {len(names) - MOST_PROBLEMS_SHOWN} more" if len(names) > MOST_PROBLEMS_SHOWN else ""
    return f"{'column' if len(names) == 1 else 'columns'} {shown}{more}"


def _with_suggestion(name: str, missing: Sequence[str]) -> str:
    candidates = [*missing, *(READABLE_NAMES[code] for code in missing)]
    lowered = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.8)
    return f"{_shorten(name)} (did you mean {lowered[close[0]]}?)" if close else _shorten(name)


def _lines(index: pd.Index) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Line in the file of each row: after the header, counted from 1 as a text editor does."""
    labels = index.to_numpy() if pd.api.types.is_integer_dtype(index.dtype) else np.arange(len(index))
    return np.asarray(labels, dtype=np.int64) + _HEADER_LINES + 1


def _describe(
    cases: pd.DataFrame,
    found: pd.DataFrame,
    lines: np.ndarray[tuple[int], np.dtype[np.int64]],
    codes: dict[str, str],
) -> str:
    """Say in words which values do not fit, in the order of the file."""
    position = {name: number for number, name in enumerate(found.columns)}
    cells = sorted({(int(row), position[str(name)]) for row, name in zip(cases["index"], cases["column"], strict=True)})
    shown = []
    for row, number in cells[:MOST_PROBLEMS_SHOWN]:
        column: Column = _BY_NAME[found.columns[number]]
        value = _value(found.iat[row, number])
        shown.append(f"  line {lines[row]}, column {codes[column.name]}: found {value}, expected {column.expected}")
    rest = len(cells) - len(shown)
    if rest:
        shown.append(f"  and {rest:,} more")
    count = "1 value that does not fit" if len(cells) == 1 else f"{len(cells):,} values that do not fit"
    return (
        f"The survey has {count}:\n" + "\n".join(shown) + "\n"
        "Correct or remove these lines, or use another source: --source kaggle or --source embedded."
    )


def _value(value: object) -> str:
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return "nothing"
    return _shorten(repr(value)) if isinstance(value, str) else str(value)


def _shorten(text: str) -> str:
    """Keep a hostile or broken cell from filling the screen, or from steering the terminal."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= 40 else f"{printable[:40]}..."
