"""From the files that training wrote to a signed package under this model's name."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from signed_parameters import ConfigurationError, SigningKey, build_package, sign_package


def trained_files(folder: Path) -> tuple[dict[str, Path], str]:
    """Return what training wrote to a folder: the files by their names in the package, and the parameters version.

    Raises:
        ConfigurationError: the folder does not hold what `train` writes.
    """
    try:
        parameters_version = str(json.loads((folder / "manifest.json").read_text())["parameters_version"])
    except (OSError, ValueError, LookupError):
        raise ConfigurationError(
            f"{folder} does not hold a trained model", remedy="Run `diabetes-risk-model train` first."
        ) from None
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return files, parameters_version


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
