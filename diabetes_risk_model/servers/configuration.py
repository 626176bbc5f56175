"""The model's settings, as a server hands them over: one by one, or in a file."""

import os
from collections.abc import Mapping

from diabetes_risk_model.prediction.settings import fill_in
from signed_parameters import ConfigurationError
from signed_parameters.strict_yaml import read_yaml

VARIABLE = "MODEL_CONFIGURATION"
_PARAMETER = "configuration"


def model_settings(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the keyword arguments of `DiabetesRiskModel`.

    Args:
        parameters: what the server was told: the settings themselves; or `configuration`, the path of a YAML file that
            holds them; or nothing, where the environment variable MODEL_CONFIGURATION names that file.

    Raises:
        ConfigurationError: the file cannot be read, or there are settings beside it.
    """
    given = dict(parameters)
    path = given.pop(_PARAMETER, None) or (os.environ.get(VARIABLE) if not given else None)
    if path is None:
        return given
    if given:
        raise ConfigurationError(
            f"{_PARAMETER} stands alone",
            expected="all settings in the file that it names",
            found=f"{sorted(given)[0]!r} beside it",
        )
    filled = str(fill_in(_PARAMETER, path))
    return dict(read_yaml(filled, "model's configuration", f"Set {VARIABLE}, or the parameter {_PARAMETER}."))
