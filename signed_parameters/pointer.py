"""The latest pointer: a signed object beside the packages that says which of them to load.

The pointer of a model is `NAME@latest.dsse.json`, an envelope like a package's, with a statement of a kind of its own.
`NAME@latest` is an address for verification as a package's is.
"""

import json
from typing import Annotated, ClassVar

from pydantic import Field

from signed_parameters.errors import MalformedPackage
from signed_parameters.statement import PREDICATE_TYPE, Claims, Statement

POINTER_TYPE = "urn:signed-parameters:latest:v1"
POINTER_SUFFIX = "@latest"

ObjectName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]{0,399}$")]


class Pointer(Claims):
    """What the signer says of the package to load.

    Attributes:
        name, version, parameters_version, serial, package_digest: as in the package's own statement.
        created, expires: the pointer's own times.
        package_name: the package's name in the folder in which the pointer is.
    """

    predicate_type: ClassVar[str] = POINTER_TYPE
    kind: ClassVar[str] = "pointer"

    package_name: ObjectName

    def subject_name(self) -> str:
        """Return the package's name."""
        return self.package_name


def is_pointer(name: str) -> bool:
    """Tell whether an object's name, without the envelope's suffix, is a pointer's."""
    return name.endswith(POINTER_SUFFIX)


def pointer_name(model: str, package: str) -> str:
    """Return the name of a model's pointer, in the folder of a package of that name."""
    return beside(package, model + POINTER_SUFFIX)


def beside(name: str, other: str) -> str:
    """Return the name of an object in the folder in which another is."""
    folder, separator, _ = name.rpartition("/")
    return folder + separator + other


def read_claims(payload: bytes) -> Statement | Pointer:
    """Read a statement of either kind. Call it only with a payload whose signature holds.

    Raises:
        MalformedPackage: it is of neither kind, or not in its one byte form.
    """
    try:
        predicate_type = json.loads(payload)["predicateType"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise MalformedPackage("the statement cannot be read", expected="an in-toto Statement v1") from None
    if predicate_type == POINTER_TYPE:
        return Pointer.from_payload(payload)
    if predicate_type == PREDICATE_TYPE:
        return Statement.from_payload(payload)
    raise MalformedPackage(
        "the statement is of an unknown kind",
        expected=f"predicate type {PREDICATE_TYPE} or {POINTER_TYPE}",
        found=repr(predicate_type)[:200],
        remedy="It may need a newer signed_parameters.",
    )
