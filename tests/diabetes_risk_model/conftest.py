"""A small trained model without pycaret, its signed package, and folders and configuration files to serve it from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.training.export import export_onnx
from diabetes_risk_model.training.reduce import to_pickle
from diabetes_risk_model.training.table import build_table
from diabetes_risk_model.training.train import SELECTED
from signed_parameters import SigningKey

PARAMETERS_VERSION = "2026_11_21"


@dataclass(frozen=True)
class TrainedModel:
    """A scikit-learn pipeline, and the files that a package of it holds."""

    pipeline: Any
    files: dict[str, Path]


@dataclass(frozen=True)
class Bucket:
    """A folder that holds a signed package, and the settings that load it."""

    folder: Path
    package: Path
    key: SigningKey

    def settings(self, **changes: object) -> dict[str, object]:
        """Return the model's configuration; a change to ... leaves a key out."""
        settings: dict[str, object] = {
            "model_parameters_version": PARAMETERS_VERSION,
            "model_files_bucket": f"file://{self.folder}",
            "parameters_verification_keys": [str(self.key.verification_key)],
            **changes,
        }
        return {name: value for name, value in settings.items() if value is not ...}


@pytest.fixture(scope="session")
def trained_model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Train on a few rows of the embedded survey, some answers of which are missing."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    frame = draw(2_000, seed=1)
    rows = frame[list(INPUT_COLUMNS)].to_numpy(dtype=np.float64)
    steps = [("imputer", SimpleImputer()), ("scaler", StandardScaler())]
    classifier = GradientBoostingClassifier(n_estimators=20, random_state=1)
    pipeline = Pipeline([*steps, ("classifier", classifier)]).fit(rows, frame["Diabetes"].to_numpy())
    folder = tmp_path_factory.mktemp("trained")
    contents = {
        "model.pkl": to_pickle(pipeline),
        "model.onnx": export_onnx(pipeline, SELECTED),
        "model.table": build_table(pipeline, SELECTED).to_bytes(),
        "manifest.json": json.dumps(
            {"columns": list(INPUT_COLUMNS), "parameters_version": PARAMETERS_VERSION}
        ).encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return TrainedModel(pipeline, {name: folder / name for name in contents})


@pytest.fixture
def make_bucket(tmp_path: Path, trained_model: TrainedModel) -> Callable[..., Bucket]:
    """`make_bucket(serial=2)` packages and signs the model, by default with a new Ed25519 key."""

    def make(*, key: SigningKey | None = None, serial: int = 1, files: dict[str, Path] | None = None) -> Bucket:
        signer = key or SigningKey.generate()
        folder = tmp_path / "bucket"
        package = package_parameters(
            files or trained_model.files, folder, key=signer, parameters_version=PARAMETERS_VERSION, serial=serial
        )
        return Bucket(folder, package, signer)

    return make


@pytest.fixture
def bucket(make_bucket: Callable[..., Bucket]) -> Bucket:
    return make_bucket()


@pytest.fixture
def write_configuration(tmp_path: Path) -> Callable[..., Path]:
    """`write_configuration(settings)` writes a service's configuration file around a model's settings."""

    def write(settings: dict[str, object]) -> Path:
        path = tmp_path / "rest_config.yaml"
        model = {
            "class_path": "diabetes_risk_model.prediction.model.DiabetesRiskModel",
            "create_endpoint": True,
            "configuration": settings,
        }
        path.write_text(yaml.safe_dump({"service_title": "Test", "models": [model]}))
        return path

    return write
