"""Names the fields that have problems, fit to be shown: a client chooses the names of unknown fields."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

_SHOWN_CHARACTERS = 60
_MOST_FIELDS = 32


def field_of(problem: Mapping[str, Any]) -> str:
    """Return the name of the field that has a problem which pydantic found; empty where the whole has it."""
    return printable(".".join(map(str, problem["loc"])))


def printable(name: str) -> str:
    """Return a name, cut to a few characters, and with what cannot be printed escaped."""
    shown = name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def shortened(fields: object) -> object:
    """Return a few of the fields where there are more than any schema has, and else all as they are.

    Most of those few are unknown too, so they are refused. pydantic takes a kilobyte to describe each.
    """
    if isinstance(fields, dict) and len(fields) > _MOST_FIELDS:
        return dict(islice(fields.items(), _MOST_FIELDS))
    return fields
