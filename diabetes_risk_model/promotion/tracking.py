"""`train --track`: what a training run leaves in MLflow, and the signed package that a registered version leads to.

The package goes to the folder of packages, which is the one place that it is promoted from. The run keeps a copy, with
the envelope as it was signed then, beside parameters, metrics, plots and card, and the model as MLflow loads it.
"""

import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from diabetes_risk_model.packaging import package_parameters, trained_files
from diabetes_risk_model.promotion import tags
from diabetes_risk_model.promotion.registry import open_registry
from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.training.quiet import quiet
from signed_parameters import (
    ConfigurationError,
    NotFound,
    SigningKey,
    Statement,
    TrustPolicy,
    Unavailable,
    next_serial,
    verify_package,
)
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import Storage, open_storage
from signed_parameters.verification import read_envelope

# What MLflow may make objects of when it loads the model, besides what skops trusts by itself. Reviewed: neither runs
# code that a file brings with it.
REVIEWED_TYPES = ("numpy.dtype", "sklearn.tree._tree.Tree")
_REQUIREMENTS = ("numpy", "scikit-learn", "scipy", "skops")
_LONGEST_VALUE = 500
_GIT_SECONDS = 10.0


@dataclass(frozen=True)
class Tracked:
    """A registered version.

    Attributes:
        number: of the version.
        run_id: of MLflow's run.
        package: address of the signed package.
        statement: what was signed of it.
    """

    number: str
    run_id: str
    package: str
    statement: Statement


def track(
    artefacts: Path, settings: PromotionSettings, *, key: SigningKey, out: Path, serial: int | None = None
) -> Tracked:
    """Package, sign and store what `train` wrote, log the run, and register a version.

    Args:
        artefacts: the folder that training wrote.
        settings: say where the registry and the packages are.
        key: signs the package.
        out: folder of this machine for the package.
        serial: of the package; by default the next after those that this key has signed.

    Raises:
        ConfigurationError: the folder holds no trained model, there is such a package already, or MLflow is missing.
        StorageError: the storage or the registry does not answer, or refuses.
    """
    mlflow = _import_mlflow()
    open_registry(settings.registry, settings.model, local=settings.registry_is_local).aliases()  # or MLflow waits long
    files, parameters_version = trained_files(artefacts)
    own = TrustPolicy(name=settings.model, keys=[key.verification_key])
    serial = next_serial(settings.packages, own) if serial is None else serial
    package = package_parameters(files, out, key=key, parameters_version=parameters_version, serial=serial)
    with verify_package(package, own) as verified:
        statement, pipeline = verified.statement, verified.load_pickle("model.pkl")
    store(open_storage(settings.packages), package)
    uri = f"{settings.packages}/{package.name}"
    try:
        mlflow.set_tracking_uri(settings.registry)
        mlflow.set_experiment(settings.model)
        with quiet(), mlflow.start_run(run_name=parameters_version) as run:
            _log(mlflow, artefacts, files)
            for path in (package, package.with_name(package.name + ENVELOPE_SUFFIX)):
                mlflow.log_artifact(str(path), "package")
            logged = _log_model(mlflow, pipeline)
        client = mlflow.MlflowClient(settings.registry)
        _ensure_registered(mlflow, client, settings.model)
        described = tags.describe(uri, statement, key.key_id)
        version = client.create_model_version(
            settings.model,
            client.get_logged_model(logged.model_id).artifact_location,
            run.info.run_id,
            tags=described,
            model_id=logged.model_id,
            await_creation_for=0,
        )
    except mlflow.exceptions.MlflowException as error:
        raise Unavailable(
            f"the run cannot be logged at {settings.registry}", found=str(error)[:500], remedy="Look at MLflow's log."
        ) from None
    return Tracked(str(version.version), run.info.run_id, uri, statement)


def store(storage: Storage, package: Path) -> None:
    """Put a package and then its envelope into a storage. A package without an envelope was broken off: it is replaced.

    Raises:
        ConfigurationError: there is a signed package of that name.
        StorageError: it cannot be written.
    """
    envelope = package.with_name(package.name + ENVELOPE_SUFFIX)
    try:
        read_envelope(storage, package.name, 1 << 20)
    except NotFound:
        storage.write(package.name, package, overwrite=True)
        storage.write_bytes(envelope.name, envelope.read_bytes())
    else:
        raise ConfigurationError(
            f"{storage.address(package.name)} is there already, and signed", remedy="Choose a new --parameters-version."
        )


def _import_mlflow() -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    try:
        with quiet():
            import mlflow
            import mlflow.sklearn
    except ImportError:
        raise ConfigurationError(
            "tracking needs MLflow, which is not installed", remedy="pip install 'signed-parameters[registry]'"
        ) from None
    return mlflow


def _log(mlflow: Any, artefacts: Path, files: Mapping[str, Path]) -> None:
    """Log parameters, metrics, and every file that people look at."""
    manifest = _read_json(artefacts / "manifest.json")
    mlflow.log_params({name: str(value)[:_LONGEST_VALUE] for name, value in _leaves(manifest)})
    numbers = {
        name: float(value)
        for name, value in _leaves(_read_json(artefacts / "metrics.json"))
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    mlflow.log_metrics(numbers)
    if commit := git_commit():
        mlflow.set_tag("mlflow.source.git.commit", commit)
    for name, path in files.items():
        if path.suffix in (".png", ".html", ".md", ".json"):
            mlflow.log_artifact(str(path), Path(name).parent.as_posix() if "/" in name else None)


def _log_model(mlflow: Any, pipeline: Any) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    skops = import_module("skops.io")
    types = skops.get_untrusted_types(data=skops.dumps(pipeline))
    if unknown := sorted(set(types) - set(REVIEWED_TYPES)):
        raise ConfigurationError(
            "the model is made of types that nobody has reviewed",
            expected=f"at most {', '.join(REVIEWED_TYPES)}",
            found=", ".join(unknown)[:200],
        )
    rows, answers = TensorSpec(np.dtype("float64"), (-1, 4)), TensorSpec(np.dtype("float64"), (-1, 2))
    return mlflow.sklearn.log_model(
        pipeline,
        name="model",
        serialization_format="skops",
        skops_trusted_types=list(REVIEWED_TYPES),
        pyfunc_predict_fn="predict_proba",
        signature=ModelSignature(Schema([rows]), Schema([answers])),
        pip_requirements=[f"{name}=={installed_version(name)}" for name in _REQUIREMENTS],
    )


def _ensure_registered(mlflow: Any, client: Any, model: str) -> None:
    try:
        client.create_registered_model(model)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def git_commit() -> str:
    """Return the Git commit of the working folder, with a + where files differ from it; empty where there is none."""
    try:
        head, changes = (
            subprocess.run(["git", *command], capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if head.returncode:
        return ""
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path} is not usable", expected="JSON, as `train` writes it") from None


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single values of nested JSON, each with the names that lead to it, joined by slashes."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}/{key}" if name else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}/{index}")
    elif value is not None:
        yield name, value
