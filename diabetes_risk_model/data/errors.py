"""What can go wrong with the survey. Every message says what was expected, what was found and what to do next.

DataError
├── SurveyFileError      the file cannot be read: missing, a folder, no CSV, wrong encoding
├── InvalidSurveyError   the file can be read, and holds columns or values that no survey has
└── KaggleError          the file cannot be fetched from Kaggle
"""


class DataError(ValueError):
    """The survey cannot be used. Raised itself for arguments that make no sense, such as zero rows."""


class SurveyFileError(DataError):
    """The survey's file cannot be read."""


class InvalidSurveyError(DataError):
    """The survey has missing or unknown columns, or values that do not fit."""


class KaggleError(DataError):
    """The survey cannot be fetched from Kaggle."""
