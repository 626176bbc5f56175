"""The model's configuration: the keyword arguments of `DiabetesRiskModel`, checked once.

`${NAME}` in a value stands for an environment variable, so that a configuration file holds references to secrets only.
"""

import os
import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from signed_parameters import ConfigurationError, VerificationKey

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _refuse_number(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("put it in quotes, because YAML reads 2026_11_21 as a number")  # noqa: TRY004 (for pydantic)
    return value


EngineName = Literal["table", "onnx", "pickle"]
StringList = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """Configuration of the model.

    Attributes:
        model_parameters_version: which parameters to load, such as 2026_11_21.
        model_files_bucket: name of the bucket at `minio_url`, or the address of a folder, `file:///...` or `s3://...`.
        minio_url: URL of the S3 server; not needed for a `file://` bucket.
        minio_access_key: access key for it; none for anonymous access.
        minio_secret_key: its secret.
        parameters_signing_key: the shared secret, as `hmac-sha512:...`; or else:
        parameters_verification_keys: public keys, as `ed25519:...`: a list, or one text with commas; or else:
        trust_policy: path of a policy file, which says what is trusted; a relative one starts from the working folder.
        minimum_serial: packages with a smaller serial are refused. Belongs in the policy file where there is one.
        revoked_keys: ids of keys that count no more: a list, or one text with commas. Likewise.
        engine: what computes: "onnx"; "table", which looks answers up in `model.table`; or "pickle" for scikit-learn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_parameters_version: Annotated[str, BeforeValidator(_refuse_number)] = Field(min_length=1)
    model_files_bucket: str = Field(min_length=1)
    minio_url: str | None = None
    minio_access_key: str | None = None
    minio_secret_key: SecretStr | None = None
    parameters_signing_key: SecretStr | None = None
    parameters_verification_keys: StringList = ()
    trust_policy: str | None = Field(default=None, min_length=1)
    minimum_serial: int = Field(default=0, ge=0)
    revoked_keys: StringList = ()
    engine: EngineName = "onnx"

    @model_validator(mode="after")
    def _has_one_kind_of_trust(self) -> "Settings":
        kinds = ("parameters_signing_key", "parameters_verification_keys", "trust_policy")
        given = [name for name in kinds if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(kinds)}, found {' and '.join(given) or 'none'}")
        beside = sorted({"minimum_serial", "revoked_keys"} & self.model_fields_set)
        if beside and self.trust_policy is not None:
            raise ValueError(f"expected {beside[0]} in the file that trust_policy names, found it beside trust_policy")
        if "://" not in self.model_files_bucket and self.minio_url is None:
            raise ValueError("expected minio_url, as model_files_bucket is the name of a bucket, found none")
        return self

    @classmethod
    def from_keywords(cls, keywords: dict[str, object]) -> "Settings":
        """Read the configuration.

        Raises:
            ConfigurationError: a key is unknown, a value is not usable, or an environment variable is missing.
        """
        if unknown := sorted(set(keywords) - set(cls.model_fields)):
            raise ConfigurationError(
                f"the model's configuration has the unknown key {unknown[0]!r}",
                expected=f"some of {', '.join(cls.model_fields)}",
            )
        filled = {name: fill_in(name, value) for name, value in keywords.items() if value is not None}
        try:
            return cls.model_validate(filled)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise ConfigurationError(
                f"the model's configuration is not usable{f' at {where!r}' if where else ''}",
                found=problem["msg"].removeprefix("Value error, "),
                remedy="Mend it in the file that REST_CONFIG names.",
            ) from None

    @property
    def location(self) -> str:
        """Address of the folder that holds the packages."""
        return self.model_files_bucket if "://" in self.model_files_bucket else f"s3://{self.model_files_bucket}"

    @property
    def trusted_keys(self) -> list[VerificationKey]:
        """The keys that a package's signature is checked with, where no policy file says so.

        Raises:
            ConfigurationError: a key is not usable, or of the other kind than its setting says.
        """
        if self.parameters_signing_key is not None:
            return [_parse_key("parameters_signing_key", self.parameters_signing_key.get_secret_value(), "hmac-sha512")]
        return [_parse_key("parameters_verification_keys", key, "ed25519") for key in self.parameters_verification_keys]


def fill_in(name: str, value: object) -> object:
    """Return a value of a setting, or a list of them, with the environment variables filled in.

    Raises:
        ConfigurationError: one is missing.
    """
    if isinstance(value, list | tuple):
        return [fill_in(name, item) for item in value]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        content = os.environ.get(match.group(1))
        if not content:
            raise ConfigurationError(
                f"the environment variable {match.group(1)} is missing",
                expected=f"a value for the setting {name}",
                remedy="Set it where the service is started.",
            )
        return content

    return _VARIABLE.sub(variable, value)


def _parse_key(name: str, text: str, algorithm: str) -> VerificationKey:
    key = VerificationKey.parse(text)
    if key.algorithm != algorithm:
        raise ConfigurationError(
            f"{name} holds a key of the wrong kind",
            expected=f"{algorithm}:...",
            found=f"{key.algorithm}:...",
            remedy="A shared secret goes into parameters_signing_key, public keys into parameters_verification_keys.",
        )
    return key
