"""Changing JSON by its values, which changing its bytes hardly ever does without breaking it."""

import json
import random
from typing import Any

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.0, 1.5, 1e400, float("nan"), 2**53, 2**53 - 1, 2**64, 10**400),
    *("", "a", "A", "a" * 300, "\u00e9", "\ud800", "\0", "\n", "..", "/a", "a/b", "a:b", "a b:c", "-", "."),
    *("0a" * 32, "AA==", "AB==", "AAA", "2026-11-21T00:00:00Z", "2026-11-21T00:00:00z", "0999-01-01T00:00:00Z"),
    *("2026-11-21T23:59:60Z", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-21 00:00:00Z"),
    *([], {}, [[]], [{}], [None], {"": ""}, {"blake3": "0a" * 32}, {"sha256": "0A" * 32}, {"0": 0}),
)


def mutate(data: bytes, maximum: int, source: random.Random) -> bytes:
    """Return JSON with one to three values replaced, left out, doubled or renamed, in the compact form; or `data`."""
    try:
        value = json.loads(data)
        for _ in range(source.randint(1, 3)):
            value = _changed(value, source)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return data
    return text.encode()[: maximum - 1] + data[-1:].strip(b"}]")


def _changed(value: Any, source: random.Random) -> Any:
    if isinstance(value, dict) and value and source.random() < 0.9:
        name = source.choice(sorted(value))
        match source.randrange(8):
            case 0:
                return {key: held for key, held in value.items() if key != name}
            case 1:
                return {**value, source.choice(("", "x", name.upper(), f"{name}2")): value[name]}
            case _:
                return {**value, name: _changed(value[name], source)}
    if isinstance(value, list) and value and source.random() < 0.9:
        at = source.randrange(len(value))
        match source.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value[:at], value[at], *value[at:]]
            case 2:
                return value[::-1]
            case _:
                return [*value[:at], _changed(value[at], source), *value[at + 1 :]]
    return source.choice(_ODD)
