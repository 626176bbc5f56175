"""Reads a survey from a CSV file: every cell as text, so that validation can show what the file really says."""

import hashlib
import io
import re
import warnings
from pathlib import Path

import pandas as pd

from diabetes_risk_model.data.errors import SurveyFileError

_USE_ANOTHER = "Name a CSV file of the survey, or use another source: --source kaggle or --source embedded."
_ZIP_START = b"PK\x03\x04"


def read_csv(path: Path) -> tuple[pd.DataFrame, str]:
    """Read a file, once: the digest is that of the very bytes that are parsed.

    Args:
        path: a CSV file with a header, comma-separated, in UTF-8 (with or without a byte-order mark).

    Returns:
        A frame of text, whose index label plus 2 is the line in the file (blank lines are left out), and the file's
        SHA-256 in hexadecimal.

    Raises:
        SurveyFileError: if the file is missing, is not a file, is empty or is not such a CSV file.
    """
    content = _read_bytes(path)
    if content.startswith(_ZIP_START):
        raise SurveyFileError(f"{path} is a zip archive; expected a CSV file. Unpack it and name the file inside.")
    if not content.strip():
        raise SurveyFileError(f"{path} is empty; expected a header line and rows. {_USE_ANOTHER}")
    if b"\0" in content:
        raise SurveyFileError(f"{path} holds binary data; expected a CSV file of text in UTF-8. {_USE_ANOTHER}")
    return _parse(content, path), hashlib.sha256(content).hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise SurveyFileError(f"{path} is a folder; expected a CSV file. Name the file inside it.")
        if not path.exists():
            raise SurveyFileError(f"{path} does not exist. {_USE_ANOTHER}")
        if not path.is_file():
            raise SurveyFileError(f"{path} is not a regular file. {_USE_ANOTHER}")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SurveyFileError(f"{path} cannot be read: {reason}. Check its permissions. {_USE_ANOTHER}") from error


def _parse(content: bytes, path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # pandas only warns where the rows are longer than the header, and drops the surplus.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.BytesIO(content),
                dtype=str,
                encoding="utf-8-sig",
                keep_default_na=False,
                index_col=False,
                skip_blank_lines=False,
            )
    except UnicodeDecodeError as error:
        raise SurveyFileError(
            f"{path} is not UTF-8 text (byte {error.start} is 0x{error.object[error.start]:02x}). "
            f"Save it as CSV in UTF-8. {_USE_ANOTHER}"
        ) from error
    except pd.errors.ParserWarning as error:
        raise SurveyFileError(
            f"{path} is not a proper CSV file: its rows have more fields than its header. "
            f"Correct the header, or download the file again. {_USE_ANOTHER}"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SurveyFileError(f"{path} is not a proper CSV file: {_reason(error)}. {_USE_ANOTHER}") from error
    return frame[(frame.fillna("") != "").any(axis=1)]


def _reason(error: Exception) -> str:
    fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if fields:
        expected, line, found = fields.groups()
        return f"line {line} has {found} fields, expected {expected}"
    if "EOF inside string" in str(error):
        return "a quotation mark is opened and never closed"
    return "its lines are not comma-separated fields below a header"
