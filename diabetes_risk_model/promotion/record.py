"""The record of a promotion: `deployments/MODEL/STAGE/promoted.yaml`, by which the next run knows what is deployed."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from diabetes_risk_model.promotion.policies import dump
from diabetes_risk_model.promotion.registry import NUMBER
from signed_parameters import ConfigurationError
from signed_parameters.digests import Digest
from signed_parameters.statement import Label, Serial
from signed_parameters.strict_yaml import parse_yaml

FILE = "promoted.yaml"
MAXIMUM_BYTES = 64 << 10


def _check_digest(text: str) -> str:
    Digest.parse(text)
    return text


class Record(BaseModel):
    """What a stage has.

    Attributes:
        model: the model's name.
        stage: the stage's.
        registry_version: the version of the registry that was promoted.
        package: address of the package's copy.
        digest: of the package.
        serial: of the package.
        parameters_version: of the package.
        signed_by: ids of the trusted keys whose signatures held.
        inputs: digest of everything else that the files were rendered from: policy, service configuration, settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: Label
    stage: str
    registry_version: str = Field(pattern=f"^{NUMBER.pattern}$")
    package: str
    digest: Annotated[str, AfterValidator(_check_digest)]
    serial: Serial
    parameters_version: Label
    signed_by: list[str] = Field(min_length=1)
    inputs: str

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return dump(self.model_dump())

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> "Record":
        """Read the file.

        Raises:
            ConfigurationError: it is no record.
        """
        try:
            return cls.model_validate(parse_yaml(data, f"the record {path}"))
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            raise ConfigurationError(
                f"the record {path} is not usable at {'.'.join(map(str, problem['loc']))}",
                found=problem["msg"],
                remedy="Restore it from the commit before.",
            ) from None

    def said(self) -> str:
        """Return what the version's tag says of it."""
        return f"deployed: serial {self.serial}, {self.digest}"
