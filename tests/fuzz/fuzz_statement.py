"""Statements: what is read has one byte form, and only labels, sizes, times and digests of the format come out."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.errors import MalformedPackage
from signed_parameters.statement import MAXIMUM_SERIAL, SignedFile, Statement
from tests.fuzz import json_values
from tests.fuzz.harness import Finding, Harness

_CREATED = datetime(2026, 11, 21, tzinfo=UTC)


def _statement(**changes: Any) -> Statement:
    blake3, sha256 = (Digest(algorithm, "0a" * 32) for algorithm in DigestAlgorithm)
    fields: dict[str, Any] = {
        "name": "m",
        "version": "0.1.0",
        "parameters_version": "1",
        "serial": 1,
        "created": _CREATED,
        "package_size": 100,
        "package_digest": blake3,
        "files": (SignedFile(name="a", size=1, digest=blake3), SignedFile(name="b/m.pkl", size=2, digest=sha256)),
        "runtime": {"python": "3.11.7"},
        "pickles": {"b/m.pkl": ("collections:OrderedDict",)},
    }
    return Statement(**{**fields, **changes})


def seeds() -> Iterator[bytes]:
    """Yield good statements, and ones with a value of another type in the place of each."""
    good = _statement(expires=_CREATED + timedelta(days=1)).to_payload()
    yield good
    yield _statement(serial=MAXIMUM_SERIAL, runtime={}, pickles={}).to_payload()
    yield json.dumps(json.loads(good), indent=1).encode()
    values: tuple[Any, ...] = (None, True, 1.5, -1, "", "x", [], {}, [[]], {"a": {}})
    for member in json.loads(good)["predicate"]:
        for value in values:
            fields = json.loads(good)
            fields["predicate"][member] = value
            yield json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def check(data: bytes) -> None:
    """Read a statement, and write it again."""
    try:
        statement = Statement.from_payload(data)
    except MalformedPackage:
        return
    if statement.to_payload() != data:
        raise Finding("a statement is read that has another byte form")
    names = [file.name for file in statement.files]
    if any(name.startswith(("/", "-", ".")) or ".." in name.split("/") or "\\" in name for name in names):
        raise Finding(f"a statement names a path that leads astray: {names}")


HARNESS = Harness(("signed_parameters.statement",), seeds, check, json_values.mutate)
