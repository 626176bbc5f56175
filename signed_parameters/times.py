"""Times in the one form that files of this package have: `YYYY-MM-DDThh:mm:ssZ`, in UTC."""

from datetime import UTC, datetime

EXPECTED = "a time in UTC, as 2027-01-01T00:00:00Z"

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def parse_time(text: str) -> datetime:
    """Read a time. Raises ValueError where the text is not in that form, or no real date and time."""
    try:
        time = datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        time = None
    if time is None or format_time(time) != text:  # strptime takes 2027-1-1 too
        raise ValueError(f"expected {EXPECTED}")
    return time


def format_time(time: datetime) -> str:
    """Return a time with a time zone as text, without its fraction of a second."""
    return time.astimezone(UTC).strftime(_FORMAT)
