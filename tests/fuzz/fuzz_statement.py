"""Statements of packages and of pointers: what is read has one byte form, is of one kind, and leads nowhere else."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.errors import MalformedPackage
from signed_parameters.pointer import Pointer, read_claims
from signed_parameters.statement import MAXIMUM_SERIAL, Claims, SignedFile, Statement
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
    said = {name: getattr(_statement(), name) for name in Claims.model_fields}
    pointer = Pointer(package_name="m-0.1.0-1.zip", **said).to_payload()
    yield pointer
    yield good.replace(b":package:v1", b":latest:v1")
    yield pointer.replace(b":latest:v1", b":package:v1")
    values: tuple[Any, ...] = (None, True, 1.5, -1, "", "x", [], {}, [[]], {"a": {}})
    for member in json.loads(good)["predicate"]:
        for value in values:
            fields = json.loads(good)
            fields["predicate"][member] = value
            yield json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def check(data: bytes) -> None:
    """Read a statement of either kind, and write it again."""
    try:
        statement = read_claims(data)
    except MalformedPackage:
        for kind in (Statement, Pointer):
            with suppress(MalformedPackage):
                kind.from_payload(data)
                raise Finding(f"a {kind.__name__} is read that is of neither kind") from None
        return
    if statement.to_payload() != data:
        raise Finding("a statement is read that has another byte form")
    pointer = isinstance(statement, Pointer)
    with suppress(MalformedPackage):
        (Statement if pointer else Pointer).from_payload(data)
        raise Finding("a statement is read as another kind than its own")
    names = [statement.package_name] if isinstance(statement, Pointer) else [file.name for file in statement.files]
    if pointer and "/" in names[0]:
        raise Finding(f"a pointer leads to another folder: {names[0]}")
    if any(name.startswith(("/", "-", ".")) or ".." in name.split("/") or "\\" in name for name in names):
        raise Finding(f"a statement names a path that leads astray: {names}")


HARNESS = Harness(("signed_parameters.statement", "signed_parameters.pointer"), seeds, check, json_values.mutate)
