"""What a training run leaves in MLflow: parameters, metrics, plots, card, the signed package, and the model.

The run keeps a copy of the package, with the envelope as it was signed then. The model is logged as skops too, for
MLflow's own scoring server.
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

from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.training.quiet import quiet
from signed_parameters import ConfigurationError, Unavailable
from signed_parameters.statement import ENVELOPE_SUFFIX

# What MLflow may make objects of when it loads the model, besides what skops trusts by itself. Reviewed: neither runs
# code that a file brings with it.
REVIEWED_TYPES = ("numpy.dtype", "sklearn.tree._tree.Tree")
_REQUIREMENTS = ("numpy", "scikit-learn", "scipy", "skops")
_LONGEST_VALUE = 500
_GIT_SECONDS = 10.0


def import_mlflow() -> Any:
    """Import MLflow and what it needs to log the model, and return it.

    Raises:
        ConfigurationError: one of them is not installed.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    try:
        with quiet():
            import mlflow
            import mlflow.sklearn

            import_module("skops.io")
    except ImportError as error:
        raise ConfigurationError(
            "tracking needs MLflow and skops, which are not installed",
            found=str(error),
            remedy="pip install 'signed-parameters[registry]'",
        ) from None
    return mlflow


@dataclass(frozen=True)
class TrainedModel:
    """What is logged.

    Attributes:
        artefacts: the folder that training wrote.
        files: what the package holds, by name.
        package: the signed package, with its envelope beside it.
        pipeline: the model.
    """

    artefacts: Path
    files: Mapping[str, Path]
    package: Path
    pipeline: Any


def log_and_register(settings: PromotionSettings, trained: TrainedModel, tags: Mapping[str, str]) -> tuple[str, str]:
    """Log a run, and register a version that has these tags, unless there is one.

    Returns:
        Number of the version, and id of its run.

    Raises:
        Unavailable: MLflow does not answer, or refuses.
        ConfigurationError: the model is made of types that nobody has reviewed.
    """
    mlflow = import_mlflow()
    try:
        mlflow.set_tracking_uri(settings.registry)
        client = mlflow.MlflowClient(settings.registry)
        _ensure_registered(mlflow, client, settings.model)
        version = _find(client, settings.model, tags)
        if version is None:
            mlflow.set_experiment(settings.model)
            run_id, logged = _log_run(mlflow, trained)
            version = client.create_model_version(
                settings.model,
                client.get_logged_model(logged.model_id).artifact_location,
                run_id,
                tags=tags,
                model_id=logged.model_id,
                await_creation_for=0,
            )
    except (mlflow.exceptions.MlflowException, OSError) as error:  # the second is how its connections fail
        raise Unavailable(
            f"the run cannot be logged at {settings.registry}", found=str(error)[:500], remedy="Look at MLflow's log."
        ) from None
    return str(version.version), str(version.run_id)


def _log_run(mlflow: Any, trained: TrainedModel) -> tuple[str, Any]:
    manifest, metrics = (_read_json(trained.artefacts / f"{name}.json") for name in ("manifest", "metrics"))
    with quiet(), mlflow.start_run(run_name=manifest.get("parameters_version")) as run:
        _log(mlflow, manifest, metrics, trained.files)
        for path in (trained.package, trained.package.with_name(trained.package.name + ENVELOPE_SUFFIX)):
            mlflow.log_artifact(str(path), "package")
        return run.info.run_id, _log_model(mlflow, trained.pipeline)


def _find(client: Any, model: str, tags: Mapping[str, str]) -> Any:
    """Return a version that has these tags and was logged; None where there is none."""
    for version in client.search_model_versions(f"name='{model}'"):
        if version.run_id and tags.items() <= version.tags.items():
            return version
    return None


def _log(mlflow: Any, manifest: Any, metrics: Any, files: Mapping[str, Path]) -> None:
    """Log parameters, metrics, and every file that people look at."""
    mlflow.log_params({name: str(value)[:_LONGEST_VALUE] for name, value in _leaves(manifest)})
    numbers = {
        name: float(value)
        for name, value in _leaves(metrics)
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
