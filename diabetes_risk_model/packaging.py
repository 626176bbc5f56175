"""From the files that training wrote to a signed package under this model's name."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from signed_parameters import SigningKey, build_package, sign_package


def package_parameters(
    files: Mapping[str, Path],
    folder: Path,
    *,
    key: SigningKey,
    parameters_version: str,
    serial: int,
    expires_in: timedelta | None = None,
) -> Path:
    """Build and sign the package of a version of this model's parameters.

    Args:
        files: name in the package -> path.
        folder: where to write the package and its envelope.
        key: signs it.
        parameters_version: version of the parameters.
        serial: larger than that of the package before.
        expires_in: how long it may be loaded; None for ever.

    Returns:
        Path of the package.

    Raises:
        ConfigurationError: a name or a value is not usable.
        UnsafePickle: a pickle asks for what is never allowed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = build_package(folder / package_name(parameters_version), files)
    sign_package(
        package,
        key=key,
        name=MODEL_NAME,
        version=__version__,
        parameters_version=parameters_version,
        serial=serial,
        expires_in=expires_in,
    )
    return package
