"""What may stand in a policy file, and its JSON Schema, `docs/trust_policy.schema.json`, which is made of it."""

from typing import Annotated, Any

from packaging.specifiers import SpecifierSet
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from signed_parameters import durations, times
from signed_parameters.digests import DigestAlgorithm
from signed_parameters.keys.algorithms import Algorithm
from signed_parameters.keys.keyring import KeyStatus
from signed_parameters.limits import DEFAULT_LIMITS
from signed_parameters.policy.trust_policy import KEY_ID
from signed_parameters.statement import MAXIMUM_SERIAL, Global, Label, Serial

SCHEMA_ID = "urn:signed-parameters:trust-policy:v1"
UNEXPECTED, SECRET = "unexpected", "secret"
TEXT, MAPPING = "<text>", "<mapping>"  # parts of the places that pydantic names, but not of the file


def _expects(expected: str) -> WrapValidator:
    """Say in one sentence what would have been right, whichever rule of a type a value breaks."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["loc"] or first["type"] in (UNEXPECTED, SECRET):
                raise
            raise PydanticCustomError(UNEXPECTED, "{expected}", {"expected": expected}) from None

    return WrapValidator(check)


def _check_time(text: str) -> str:
    times.parse_time(text)
    return text


def _check_version(text: str) -> str:
    SpecifierSet(text)
    return text


def _check_no_secret(value: object) -> object:
    if isinstance(value, str) and value.strip().startswith(f"{Algorithm.HMAC_SHA512}:"):
        raise PydanticCustomError(SECRET, "a shared secret")
    return value


def _kind_of_key(value: object) -> str | None:
    return TEXT if isinstance(value, str) else MAPPING if isinstance(value, dict | KeyEntry) else None


TimeText = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", json_schema_extra={"format": "date-time"}
    ),
    AfterValidator(_check_time),
    _expects(times.EXPECTED),
]
KeyText = Annotated[
    str,
    Field(pattern=r"^(ed25519:[A-Za-z0-9_-]{43}|env:[A-Za-z_][A-Za-z0-9_]*)$"),
    _expects("a public key as ed25519:..., or env:NAME"),
    BeforeValidator(_check_no_secret),
]
LabelText = Annotated[
    Label, _expects("text, in quotes if it could be a number, of letters, digits and . _ + -, such as '2026_11_21'")
]
VersionRange = Annotated[
    str, AfterValidator(_check_version), _expects("a range of versions in quotes, such as '>=0.1,<0.2'")
]
KeyId = Annotated[str, Field(pattern=f"^{KEY_ID.pattern}$"), _expects("a key id of 32 hexadecimal digits")]
DigestText = Annotated[
    str,
    Field(pattern=f"^({'|'.join(DigestAlgorithm)}):[0-9a-f]{{64}}$"),
    _expects("the digest of a package: blake3: or sha256: and 64 hexadecimal digits"),
]
Duration = Annotated[str, Field(pattern=durations.PATTERN), _expects(durations.EXPECTED)]
PathText = Annotated[
    str,
    Field(pattern=r"^[^\x00]+$"),
    _expects("the path of a keyring file"),
    BeforeValidator(_check_no_secret),
]
Bytes = Annotated[int, Field(ge=1, le=MAXIMUM_SERIAL), _expects("a whole number of bytes, from 1")]
Count = Annotated[int, Field(ge=1, le=1_000_000), _expects("a whole number from 1 to 1,000,000")]
Seconds = Annotated[float, Field(gt=0, le=86_400), _expects("a number of seconds, above 0, at most 86400")]
GlobalText = Annotated[Global, _expects("an exact name as module:name, such as numpy:ndarray")]


class _Part(BaseModel):
    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_nothing(cls, value: object) -> object:
        """Refuse a key without a value: it could be taken for an empty list, or for no demand at all."""
        if value is None:
            raise PydanticCustomError(UNEXPECTED, "{expected}", {"expected": "a value, or the whole key left out"})
        return value


class KeyEntry(_Part):
    """A trusted key, and when its signatures count."""

    key: KeyText = Field(
        description="The verification key: ed25519:..., or env:NAME for an environment variable that holds it. "
        "A shared secret (hmac-sha512:...) must come from the environment."
    )
    not_before: TimeText | None = Field(
        default=None, description="From when on its signatures count. Left out: always."
    )
    not_after: TimeText | None = Field(default=None, description="From when on they count no more. Left out: never.")
    status: Annotated[KeyStatus, Field(strict=False), _expects(" or ".join(KeyStatus))] = Field(
        default=KeyStatus.ACTIVE,
        description="active; retired (counts, but is not to sign any more); revoked (counts no more).",
    )


KeyItem = Annotated[
    Annotated[KeyText, Tag(TEXT)] | Annotated[KeyEntry, Tag(MAPPING)],
    Discriminator(_kind_of_key),
    _expects("ed25519:..., env:NAME, or a mapping of key, not_before, not_after and status"),
]


class LimitsEntry(_Part):
    """What verification reads, and waits, at the most."""

    envelope_bytes: Bytes = Field(default=DEFAULT_LIMITS.envelope_bytes, description="Size of an envelope.")
    package_bytes: Bytes = Field(default=DEFAULT_LIMITS.package_bytes, description="Size of a package.")
    signatures: Count = Field(default=DEFAULT_LIMITS.signatures, description="Signatures in one envelope.")
    connect_seconds: Seconds = Field(
        default=DEFAULT_LIMITS.connect_seconds, description="Wait for a storage server to accept a connection."
    )
    listing_pages: Count = Field(default=DEFAULT_LIMITS.listing_pages, description="Pages of one listing of a bucket.")
    read_seconds: Seconds = Field(
        default=DEFAULT_LIMITS.read_seconds, description="Wait for the next bytes of a storage server."
    )
    download_seconds: Seconds = Field(
        default=DEFAULT_LIMITS.download_seconds, description="Wait for the whole of an object."
    )


class PolicyDocument(_Part):
    """Which packages may be loaded. Keys that are not listed here are refused."""

    model_config = ConfigDict(
        title="Trust policy of signed_parameters",
        json_schema_extra={"anyOf": [{"required": ["keys"]}, {"required": ["keyring"]}]},
    )

    name: LabelText = Field(description="The model's qualified name.")
    version: VersionRange = Field(
        default="", description="Range of versions of the model's code, such as >=0.1,<0.2 (PEP 440). Left out: any."
    )
    parameters_version: LabelText | None = Field(
        default=None,
        description="The one version of the parameters to accept, in quotes: YAML takes 2026_11_21 for a number. "
        "Left out: any.",
    )
    package_digest: DigestText | None = Field(
        default=None,
        description="The one package to accept: blake3:... or sha256:..., as its signed statement has it. Other bytes "
        "are refused, whoever signed them. Left out: any.",
    )
    keys: Annotated[list[KeyItem], Field(min_length=1), _expects("a list of one key or more")] = Field(
        default=[], description="The trusted keys, each once.", json_schema_extra={"uniqueItems": True}
    )
    keyring: PathText | None = Field(
        default=None,
        description="A keyring file, whose keys are trusted too. A relative path starts from this file's folder.",
    )
    threshold: Count = Field(default=1, description="How many distinct keys have to have signed.")
    minimum_serial: Annotated[Serial, _expects("a whole number from 0")] = Field(
        default=0,
        description="Packages with a smaller serial are refused. Raise it when you ship, lower it to roll back.",
    )
    maximum_age: Duration | None = Field(
        default=None,
        description="Time after its creation from which a package is refused: 90d, 12h, 30m. Left out: never.",
    )
    revoked_keys: Annotated[list[KeyId], _expects("a list of key ids")] = Field(
        default=[], description="Ids of keys whose signatures count no more."
    )
    revoked_digests: Annotated[list[DigestText], _expects("a list of digests")] = Field(
        default=[], description="Packages that are refused, whoever signed them."
    )
    signature_algorithms: Annotated[
        list[Annotated[Algorithm, Field(strict=False), _expects(" or ".join(Algorithm))]],
        Field(min_length=1),
        _expects(f"a list of one or more of {', '.join(Algorithm)}"),
    ] = Field(default=list(Algorithm), description="Algorithms by which a signature counts.")
    digest_algorithms: Annotated[
        list[Annotated[DigestAlgorithm, Field(strict=False), _expects(" or ".join(DigestAlgorithm))]],
        Field(min_length=1),
        _expects(f"a list of one or more of {', '.join(DigestAlgorithm)}"),
    ] = Field(default=list(DigestAlgorithm), description="Algorithms that a package may be digested with.")
    allowed_globals: Annotated[list[GlobalText], _expects("a list of names")] | None = Field(
        default=None,
        description="What pickles may import at the most, as module:name, whatever their signed lists say. An empty "
        "list allows nothing. Left out: whatever these lists say.",
    )
    limits: Annotated[LimitsEntry, _expects("a mapping")] = Field(
        default_factory=LimitsEntry.model_construct, description="What is read at the most."
    )


class _SchemaWriter(GenerateJsonSchema):
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave away defaults that mean "left out": null is refused where it stands."""
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Leave away null, for the same reason."""
        return self.generate_inner(schema["schema"])


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of policy files, for editors and for checks before a merge."""
    schema = PolicyDocument.model_json_schema(schema_generator=_SchemaWriter)
    return {"$schema": _SchemaWriter.schema_dialect, "$id": SCHEMA_ID, **schema}
