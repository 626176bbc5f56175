"""Train the pipeline of THE DESIGN TO BEAT, sign it as that design does, and export the same model for ours.

Run it as `python -m benchmarks.baseline.build FOLDER`; `benchmarks.serving` does so where FOLDER has no model yet.
"""

import argparse
import contextlib
import io
import json
import os
import pickle
import secrets
import sys
from pathlib import Path
from typing import Any

from itsdangerous import Signer

from benchmarks.baseline.model import SECRET_FILE, SIGNED_PICKLE
from diabetes_risk_model.data.columns import TARGET
from diabetes_risk_model.data.sources import load_survey
from diabetes_risk_model.progress import step
from diabetes_risk_model.training.export import export
from diabetes_risk_model.training.quiet import import_pycaret, quiet
from diabetes_risk_model.training.reduce import reduce_pipeline, to_pickle
from diabetes_risk_model.training.table import tabulate
from diabetes_risk_model.training.train import SELECTION_GAIN

DEFAULT_ROWS = 20_000
ONNX_FILE, TABLE_FILE, PICKLE_FILE, MANIFEST_FILE = "model.onnx", "model.table", "model.pkl", "manifest.json"


def build(folder: Path, source: str = "auto", rows: int = DEFAULT_ROWS, seed: int = 42) -> None:
    """Write into `folder`: `signed_model.pkl`, its secret (made now, mode 0600), and the same model for ours.

    Ours are `model.onnx`, `model.table`, `model.pkl` (plain scikit-learn) and `manifest.json`.

    Args:
        folder: made if it is missing.
        source: of the survey: "auto", "kaggle", "embedded", or a path.
        rows: rows of the survey to train on. A pipeline's speed does not depend on it.
        seed: of the sample and of the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with step("Read the survey") as reading:
        survey = load_survey(source, rows=rows, seed=seed)
        reading.note(survey.description)
    with step("Train the baseline: a pycaret pipeline, whole"):
        pipeline = _train(survey.frame, seed)
    with step("Sign the baseline; export the same model to ONNX and to a table"):
        secret = secrets.token_hex(32)
        _write(folder / SECRET_FILE, secret.encode())
        reduced = reduce_pipeline(pipeline, survey.frame)
        _write(folder / ONNX_FILE, export(reduced, survey.frame).content)
        _write(folder / TABLE_FILE, tabulate(reduced, survey.frame).content)
        _write(folder / PICKLE_FILE, to_pickle(reduced.pipeline))
        manifest = {"source": survey.manifest(), "columns": [column.name for column in reduced.columns]}
        _write(folder / MANIFEST_FILE, json.dumps(manifest).encode())
        _write(folder / SIGNED_PICKLE, Signer(secret).sign(pickle.dumps(pipeline)))


def _train(frame: Any, seed: int) -> Any:
    pycaret = import_pycaret()
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        experiment = pycaret.ClassificationExperiment()
        from lightgbm import LGBMClassifier

        experiment.setup(
            frame,
            target=TARGET.name,
            remove_outliers=True,
            normalize=True,
            remove_multicollinearity=True,
            feature_selection=True,
            # With pycaret's own estimator the columns are luck on so few rows, and ours must be the same model.
            feature_selection_estimator=LGBMClassifier(min_split_gain=SELECTION_GAIN, n_jobs=1, verbose=-1),
            session_id=seed,
            n_jobs=1,
            html=False,
            verbose=False,
            system_log=False,
            memory=False,
        )
        return experiment.finalize_model(experiment.create_model("gbc", cross_validation=False, verbose=False))


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def main() -> int:
    """Build the baseline from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline.build", description=build.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="auto", help="auto, kaggle, embedded, or a path (default: auto)")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help=f"rows to train on (default: {DEFAULT_ROWS:,})")
    options = parser.parse_args()
    build(options.folder, options.source, options.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
