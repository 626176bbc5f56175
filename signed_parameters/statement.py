"""The statement: what a signature says of a package. An in-toto Statement v1 with a predicate of our own.

The subject is the package; the predicate binds what the model is, which one of its line it is, and what is inside. A
statement has exactly one byte form: `from_payload` refuses every other, so two readers can never differ over one.
"""

import json
import re
from abc import abstractmethod
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from signed_parameters.digests import Digest, DigestAlgorithm
from signed_parameters.errors import MalformedPackage

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:signed-parameters:package:v1"
ENVELOPE_SUFFIX = ".dsse.json"
MAXIMUM_SERIAL = 2**53 - 1
MAXIMUM_FILES = 10_000

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MAXIMUM_ENTRY_NAME = 240


def _parse_time(value: object) -> object:
    return datetime.strptime(value, _TIME_FORMAT).replace(tzinfo=UTC) if isinstance(value, str) else value


def check_entry_name(name: str) -> str:
    """Return the name of a file of a package. Raises ValueError where it can be none."""
    if len(name) > _MAXIMUM_ENTRY_NAME or not _ENTRY_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a file of a package: expected a relative path of letters, digits, '.', '_' and '-', "
            f"no part of which begins with a dot or a dash, of at most {_MAXIMUM_ENTRY_NAME} characters"
        )
    return name


def _parse_digest(value: object) -> object:
    if isinstance(value, dict) and len(value) == 1:
        ((algorithm, digits),) = value.items()
        if not isinstance(digits, str):
            raise ValueError("a digest is text")
        return Digest(DigestAlgorithm(algorithm), digits)
    return value


Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$")]
EntryName = Annotated[str, AfterValidator(check_entry_name)]
Size = Annotated[int, Field(ge=0, le=MAXIMUM_SERIAL)]
Serial = Annotated[int, Field(ge=0, le=MAXIMUM_SERIAL)]
Time = Annotated[
    datetime, BeforeValidator(_parse_time), PlainSerializer(lambda time: time.strftime(_TIME_FORMAT), return_type=str)
]
DigestField = Annotated[
    Digest,
    BeforeValidator(_parse_digest),
    PlainSerializer(lambda digest: {str(digest.algorithm): digest.value}, return_type=dict),
]
Global = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)


class SignedFile(_Part):
    """A file of the package: its name, its size in bytes, and its digest."""

    name: EntryName
    size: Size
    digest: DigestField


class Claims(_Part):
    """What a statement of any kind says of a model's package, and its one byte form.

    Attributes:
        name: the model's qualified name.
        version: version of the model's code.
        parameters_version: version of the parameters, such as 2026_11_21.
        serial: place in the model's line of packages; a newer package has a larger one.
        created: when it was signed, in UTC.
        expires: from when on it is refused, in UTC; None for never.
        package_digest: digest of the package.
    """

    predicate_type: ClassVar[str]
    kind: ClassVar[str]

    name: Label
    version: Label
    parameters_version: Label
    serial: Serial
    created: Time
    expires: Time | None = None
    package_digest: DigestField

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.expires is not None and self.expires <= self.created:
            raise ValueError("it expires before it was created")
        return self

    @abstractmethod
    def subject_name(self) -> str:
        """Return the name of the statement's subject."""

    def to_payload(self) -> bytes:
        """Return the statement's one byte form: compact JSON with sorted keys, in ASCII."""
        predicate = self.model_dump(mode="json", exclude_none=True, exclude={"package_name"})
        digest = predicate.pop("package_digest")
        fields = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.subject_name(), "digest": digest}],
            "predicateType": self.predicate_type,
            "predicate": predicate,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read a statement of this kind. Call it only with a payload whose signature holds.

        Raises:
            MalformedPackage: the payload is not the one form of such a statement that this version knows.
        """
        try:
            fields: dict[str, Any] = json.loads(payload)
            if fields["predicateType"] != cls.predicate_type:
                raise MalformedPackage(
                    "the statement is of another kind",
                    expected=f"predicate type {cls.predicate_type}",
                    found=repr(fields["predicateType"])[:200],
                    remedy="Something else was put in its place, or it needs a newer signed_parameters.",
                )
            predicate = {**fields["predicate"], "package_digest": fields["subject"][0]["digest"]}
            if "package_name" in cls.model_fields:
                predicate["package_name"] = fields["subject"][0]["name"]
            statement = cls.model_validate_json(json.dumps(predicate))
        except ValidationError as error:
            raise MalformedPackage("the statement is not usable", found=describe_problem(error)) from None
        except (ValueError, LookupError, TypeError, RecursionError):
            raise MalformedPackage("the statement cannot be read", expected="an in-toto Statement v1") from None
        if statement.to_payload() != payload:
            raise MalformedPackage(
                "the statement is not in its one byte form",
                expected=f"compact JSON with sorted keys, type {STATEMENT_TYPE}, predicate type {cls.predicate_type}",
                remedy="It may be of a newer version of the format: update signed_parameters.",
            )
        return statement


class Statement(Claims):
    """What the signer says of a package.

    Attributes:
        name, version, parameters_version, serial, created, expires, package_digest: as in Claims.
        package_size: size of the package, in bytes.
        files: every file of the package, in the order of their names.
        runtime: versions of Python and of the libraries that the pickles need, where they were signed.
        pickles: for each pickle among the files, the globals that loading it needs, as `module:name`.
    """

    predicate_type: ClassVar[str] = PREDICATE_TYPE
    kind: ClassVar[str] = "package"

    package_size: Size
    files: tuple[SignedFile, ...] = Field(min_length=1, max_length=MAXIMUM_FILES)
    runtime: dict[Label, Label]
    pickles: dict[EntryName, tuple[Global, ...]]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [file.name for file in self.files]
        if names != sorted(names) or len({name.lower() for name in names}) != len(names):
            raise ValueError("the files are not in the order of their names, each once, in upper or lower case")
        if unlisted := set(self.pickles) - set(names):
            raise ValueError(f"pickles {sorted(unlisted)} are not among the files")
        return self

    @property
    def package_name(self) -> str:
        """Conventional file name of the package, which is the name of the statement's subject."""
        return f"{self.name}-{self.version}-{self.parameters_version}.zip"

    def subject_name(self) -> str:
        """Return the package's conventional name."""
        return self.package_name


def describe_problem(error: ValidationError) -> str:
    """Return the first problem of a failed validation, as `field: what is wrong`."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
