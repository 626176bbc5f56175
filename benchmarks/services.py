"""What the benchmarks of serving serve: the same model by the baseline and by ours, and the floor under both."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import signed_parameters as sp
from benchmarks.baseline.model import SECRET_FILE, SECRET_VARIABLE, SIGNED_PICKLE
from benchmarks.load import LoadError, bodies_of
from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.parameters import MODEL_NAME, package_name
from diabetes_risk_model.prediction.schemas import DiabetesRiskModelInput

PACKAGED = ("model.onnx", "model.table", "model.pkl", "manifest.json")
ROOT = Path(__file__).resolve().parents[1]
TRAINED = ROOT / "build" / "benchmarks" / "serving"
PARAMETERS_VERSION = "benchmark"
BASELINE, OURS, FLOOR = "baseline", "ours, own application", "bare ASGI, a constant"
OURS_BY_REST_MODEL_SERVICE = "ours, rest_model_service"
OUR_APPLICATION = "diabetes_risk_model.service.main:app"
ENGINES = ("table", "onnx", "pickle")
BODIES = bodies_of(DiabetesRiskModelInput.model_json_schema(), 64)
SAME_PROBABILITY = 1e-6
_ANSWER_SECONDS = 30
# pycaret writes a log file into the working directory at import, unless it is told another place.
_QUIET_PYCARET = {"PYCARET_CUSTOM_LOGGING_PATH": os.devnull}


@dataclass(frozen=True)
class Service:
    """What is served, and how."""

    name: str
    app: str
    config: Path
    model: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Path of the predictions."""
        return f"/api/models/{self.model}/prediction"


def build_baseline(folder: Path, source: str, rows: int) -> None:
    """Train the baseline, and the same model for ours, in a process of its own, unless the folder has them already.

    Raises:
        LoadError: it could not be trained.
    """
    if all((folder / name).exists() for name in (SIGNED_PICKLE, SECRET_FILE, *PACKAGED)):
        return
    command = [sys.executable, "-m", "benchmarks.baseline.build", str(folder), "--source", source, "--rows", str(rows)]
    # LightGBM, which selects the columns, loses far more time to its threads than it wins on so few rows.
    environment = {**os.environ, **_QUIET_PYCARET, "OMP_NUM_THREADS": "1"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        raise LoadError(
            "The baseline could not be trained; the reason is above. Other rows may help: --source, --rows."
        )


def services(trained: Path, artefacts: Path, folder: Path, engine: str) -> list[Service]:
    """Write what the services need into a folder: configuration files, and our package, signed with a new key.

    Args:
        trained: folder of the baseline.
        artefacts: folder of our model: those files of `PACKAGED` that the engine needs.
        folder: where to write.
        engine: of our model, one of `ENGINES`.
    """
    secret = (trained / SECRET_FILE).read_text()
    environment = {**_QUIET_PYCARET, SECRET_VARIABLE: secret, "PYTHONPATH": str(ROOT)}
    baseline = _configure(folder / "baseline.yaml", "benchmarks.baseline.model.BaselineModel", {"folder": str(trained)})
    ours = our_configuration(artefacts, folder, engine)
    return [
        Service(BASELINE, "rest_model_service.main:app", baseline, "baseline", environment),
        Service(OURS_BY_REST_MODEL_SERVICE, "rest_model_service.main:app", ours, MODEL_NAME),
        Service(OURS, OUR_APPLICATION, ours, MODEL_NAME),
        Service(FLOOR, "benchmarks.bare:app", ours, MODEL_NAME, {"PYTHONPATH": str(ROOT)}),
    ]


def our_configuration(artefacts: Path, folder: Path, engine: str, **settings: object) -> Path:
    """Package a model, sign it with a new key, and write the configuration file that serves it.

    Args:
        artefacts: folder of the model.
        folder: where to write.
        engine: one of `ENGINES`.
        settings: more keys of the configuration file.
    """
    key = sp.SigningKey.generate()
    files = {name: artefacts / name for name in PACKAGED if (artefacts / name).exists()}
    package = sp.build_package(folder / package_name(PARAMETERS_VERSION), files=files)
    sp.sign_package(
        package, key=key, name=MODEL_NAME, version=__version__, parameters_version=PARAMETERS_VERSION, serial=1
    )
    configuration = {
        "model_parameters_version": PARAMETERS_VERSION,
        "model_files_bucket": folder.as_uri(),
        "parameters_verification_keys": [str(key.verification_key)],
        "minimum_serial": 1,
        "engine": engine,
    }
    class_path = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
    return _configure(folder / "ours.yaml", class_path, configuration, **settings)


def model_settings(configuration: Path) -> dict[str, Any]:
    """Return what a configuration file tells its model."""
    settings: dict[str, Any] = yaml.safe_load(configuration.read_text())["models"][0]["configuration"]
    return settings


def _configure(path: Path, class_path: str, configuration: Mapping[str, object], **settings: object) -> Path:
    model = {"class_path": class_path, "create_endpoint": True, "configuration": dict(configuration)}
    path.write_text(yaml.safe_dump({"service_title": "Benchmark", "models": [model], **settings}))
    return path


def predict(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to one request."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def compare_answers(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    """Raise LoadError unless two services gave the same answers: labels equal, probabilities within 1e-6."""
    for number, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
        apart = abs(one["probability"] - other["probability"])
        if one["diabetes_risk"] != other["diabetes_risk"] or apart > SAME_PROBABILITY:
            raise LoadError(f"The services do not serve the same model: answer {number} is {one} and {other}.")
