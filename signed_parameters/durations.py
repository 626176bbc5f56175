"""Times such as 90d, 12h or 30m, as commands and policy files give them."""

import re
from datetime import timedelta

PATTERN = r"^[1-9][0-9]{0,5}[dhm]$"
EXPECTED = "a time such as 90d, 12h or 30m"

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def parse_duration(text: str) -> timedelta:
    """Read a duration. Raises ValueError where it is none."""
    if not re.fullmatch(PATTERN.strip("^$"), text):
        raise ValueError(f"expected {EXPECTED}")
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
