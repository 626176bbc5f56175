"""The service's configuration file: the one that `rest_model_service` reads, but checked."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rest_model_service.configuration import Model, ServiceConfiguration

from diabetes_risk_model.service.authentication.settings import WantedAuthentication
from diabetes_risk_model.service.server.options import ConnectionLimits, ShutdownTimes
from signed_parameters import ConfigurationError
from signed_parameters.strict_yaml import read_yaml

_VARIABLE = "REST_CONFIG"
_DEFAULT = "rest_config.yaml"


class CheckedModel(Model):  # type: ignore[misc]
    """A model of the service; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class RequestLimits(BaseModel):
    """What one request may take.

    Attributes:
        prediction_bytes: largest body of a prediction.
        batch_bytes: largest body of a batch.
        batch_rows: most rows of a batch.
        body_seconds: longest time until a body has arrived.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prediction_bytes: int = Field(default=16_384, ge=1)
    batch_bytes: int = Field(default=4_194_304, ge=1)
    batch_rows: int = Field(default=10_000, ge=1)
    body_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)


class LoadingRetries(BaseModel):
    """When to try again, where the storage did not give the package. Each pause is twice the one before.

    Attributes:
        first_seconds: the first pause.
        longest_seconds: no pause is longer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_seconds: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    longest_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)


class CheckedConfiguration(ServiceConfiguration):  # type: ignore[misc]
    """The configuration of the service; unknown keys are refused, and there is at least one model.

    `limits`, `retries`, `log_requests`, `authentication`, `connections` and `shutdown` are keys that
    `rest_model_service` does not know and passes over: it serves everybody. The last two are for
    `python -m diabetes_risk_model.service`; uvicorn has options of its own.
    """

    model_config = ConfigDict(extra="forbid")

    models: list[CheckedModel] = Field(min_length=1)
    limits: RequestLimits = RequestLimits()
    retries: LoadingRetries = LoadingRetries()
    log_requests: bool = False
    authentication: WantedAuthentication = None
    connections: ConnectionLimits = ConnectionLimits()
    shutdown: ShutdownTimes = ShutdownTimes()


def configuration_path() -> Path:
    """Return the path that REST_CONFIG names, or else `rest_config.yaml` in the working directory."""
    return Path(os.environ.get(_VARIABLE, _DEFAULT))


def read_configuration(path: Path) -> CheckedConfiguration:
    """Read a configuration file.

    Raises:
        ConfigurationError: it cannot be read, could be taken in two ways, or a key or value in it is not usable.
    """
    fields = read_yaml(path, "configuration file", f"Set {_VARIABLE} to a file such as configuration/rest_config.yaml.")
    try:
        configuration: CheckedConfiguration = CheckedConfiguration.model_validate(fields)
        return configuration
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "its top"
        raise ConfigurationError(
            f"the configuration file {path} is not usable at {where}", found=problem["msg"]
        ) from None
