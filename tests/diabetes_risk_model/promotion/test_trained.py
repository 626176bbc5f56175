"""`train --track` with pycaret's real training: what it registers is promoted, and MLflow has all that was drawn."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diabetes_risk_model.prediction.parameters import MODEL_NAME
from diabetes_risk_model.promotion.watcher import PROMOTED
from diabetes_risk_model.training.evaluate import PLOTS
from signed_parameters import TrustPolicy, verify_package

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
PARAMETERS_VERSION = "2026_11_25"
SECONDS = 900


@pytest.mark.training
@pytest.mark.full
def test_what_pycaret_trained_is_tracked_and_promoted(make_world):
    from mlflow import MlflowClient

    world = make_world(MODEL_NAME, registered=False)
    world.analyst.save(world.folder / "analyst.json")
    options = ["--source", "embedded", "--profile", "quick", "--parameters-version", PARAMETERS_VERSION]
    tracking = ["--track", "--key", "analyst.json", "--config", str(world.config), "--serial", "25"]
    done = subprocess.run(
        [COMMAND, "train", *options, *tracking],
        cwd=world.folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client = MlflowClient(world.server.url)
    registered = re.search(rf"registered version (\d+): {PARAMETERS_VERSION}, serial 25\n", done.stdout)
    assert registered is not None, done.stdout
    version = client.get_model_version(MODEL_NAME, registered[1])
    assert version.tags["signed_parameters.package_uri"].endswith(f"-{PARAMETERS_VERSION}.zip")
    run = client.get_run(version.run_id)
    metrics = json.loads((world.folder / "build" / "artefacts" / "metrics.json").read_text())
    assert run.data.metrics["held_out/AUC"] == metrics["held_out"]["AUC"]
    plots = {item.path for item in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {f"plots/{name}.png" for name in PLOTS}
    assert {item.path for item in client.list_artifacts(run.info.run_id)} >= {"card.md", "card.html", "profile.html"}

    world.alias("staging", str(version.version))
    assert world.once("staging").state == PROMOTED
    policy = TrustPolicy(name=MODEL_NAME, keys=[world.analyst.verification_key], minimum_serial=25)
    with verify_package(world.record().package, policy) as package:
        probabilities = package.load_pickle("model.pkl").predict_proba(np.array([[20.0, 1, 1, 8], [45.0, 5, 10, 1]]))
    assert probabilities[0, 1] < 0.5 < probabilities[1, 1]
