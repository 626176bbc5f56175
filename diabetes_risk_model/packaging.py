"""From the files that training wrote to a signed package under this model's name."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from signed_parameters import ConfigurationError, SigningKey, build_package, sign_package
from signed_parameters.statement import Label

_label: TypeAdapter[str] = TypeAdapter(Label)


def trained_files(folder: Path) -> tuple[dict[str, Path], str]:
    """Return what training wrote to a folder: the files by their names in the package, and the parameters version.

    Raises:
        ConfigurationError: the folder does not hold what `train` writes.
    """
    try:
        parameters_version = json.loads((folder / "manifest.json").read_bytes())["parameters_version"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise ConfigurationError(
            f"{folder} does not hold a trained model", remedy="Run `diabetes-risk-model train` first."
        ) from None
    check_parameters_version(parameters_version)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return files, parameters_version


def check_parameters_version(text: object) -> None:
    """Check that a text can be a parameters version, which becomes part of a file's name.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        _label.validate_python(text, strict=True)
    except ValidationError:
        raise ConfigurationError(
            "the parameters version is not usable",
            expected="a text such as 2026_11_21, of letters, digits, '.', '_', '+' and '-'",
            found=repr(text),
        ) from None


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
        ConfigurationError: a name or a value is not usable, or the folder cannot be made.
        UnsafePickle: a pickle asks for what is never allowed.
    """
    check_parameters_version(parameters_version)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"folder {folder} cannot be made", found=str(error.strerror)) from None
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
