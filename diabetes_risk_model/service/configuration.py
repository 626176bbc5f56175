"""The service's configuration file: the one that `rest_model_service` reads, but checked."""

import os
from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError
from rest_model_service.configuration import Model, ServiceConfiguration

from signed_parameters import ConfigurationError

_VARIABLE = "REST_CONFIG"
_DEFAULT = "rest_config.yaml"


class CheckedModel(Model):  # type: ignore[misc]
    """A model of the service; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class CheckedConfiguration(ServiceConfiguration):  # type: ignore[misc]
    """The configuration of the service; unknown keys are refused, and there is at least one model."""

    model_config = ConfigDict(extra="forbid")

    models: list[CheckedModel] = Field(min_length=1)


def configuration_path() -> Path:
    """Return the path that REST_CONFIG names, or else `rest_config.yaml` in the working directory."""
    return Path(os.environ.get(_VARIABLE, _DEFAULT))


def read_configuration(path: Path) -> CheckedConfiguration:
    """Read a configuration file.

    Raises:
        ConfigurationError: there is no such file, it is not YAML, or a key or value in it is not usable.
    """
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read",
            found=str(error.strerror),
            remedy=f"Set {_VARIABLE} to a file such as configuration/rest_config.yaml.",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"the configuration file {path} is not YAML{where}") from None
    try:
        configuration: CheckedConfiguration = CheckedConfiguration.model_validate(fields)
        return configuration
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "its top"
        raise ConfigurationError(
            f"the configuration file {path} is not usable at {where}", found=problem["msg"]
        ) from None
