"""From training to predictions of two stages, on real parts: MLflow, an S3 server, Git, kustomize, the service."""

import json
import math
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml

from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.parameters import MODEL_NAME
from diabetes_risk_model.promotion.approval import approve
from diabetes_risk_model.promotion.tracking import track
from diabetes_risk_model.promotion.watcher import PROMOTED, REFUSED
from diabetes_risk_model.service.process import ServiceProcess
from signed_parameters import ConfigurationError
from signed_parameters.child_process import ChildProcess

SERVICE = "diabetes_risk_model.service.main:app"
ROWS = 1_000
START_SECONDS = 120.0


@pytest.fixture
def train(tmp_path, trained_model):
    """`train("2026_11_21")` writes what a training run of that version leaves."""

    def write(parameters_version: str) -> Path:
        folder = tmp_path / f"artefacts-{parameters_version}"
        (folder / "plots").mkdir(parents=True)
        for name, path in trained_model.files.items():
            shutil.copy(path, folder / name)
        manifest = {"columns": list(INPUT_COLUMNS), "parameters_version": parameters_version, "seed": 1}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "metrics.json").write_text(json.dumps({"held_out": {"AUC": 0.8, "kept": True}, "folds": 3}))
        (folder / "card.html").write_text("<p>A card</p>")
        (folder / "plots" / "auc.png").write_bytes(b"a picture")
        return folder

    return write


def post(url: str, body: object) -> object:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def mounted(world, stage: str) -> Path:
    """Write what kustomize makes of a stage to where its pods would find it; return the service's configuration."""
    clone = world.folder / f"clone-{stage}-{len(world.commits())}"
    subprocess.run(["git", "clone", "--quiet", str(world.bare), str(clone)], check=True, timeout=60)
    folder = clone / "deployments" / world.model / stage
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    assert {item["metadata"].get("namespace", f"diabetes-{stage}") for item in objects} == {f"diabetes-{stage}"}
    maps = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
    (configuration,) = [data for name, data in maps.items() if name.startswith("rest-config-")]
    target = world.folder / "mounted" / stage
    target.mkdir(parents=True, exist_ok=True)
    for name, text in configuration.items():
        (target / name).write_text(text)
    return target / "rest_config.yaml"


def predicts(world, stage: str) -> None:
    storage = world.server.storage
    environment = {"MINIO_ACCESS_KEY": storage.access_key, "MINIO_SECRET_KEY": storage.secret_key}
    with ServiceProcess(SERVICE, mounted(world, stage), environment) as service:
        answer = post(f"{service.url}/api/models/{MODEL_NAME}/prediction", {"body_mass_index": 40})
        assert answer["diabetes_risk"] in ("DIABETES", "NO_DIABETES")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on this machine")
def test_from_training_to_predictions_and_back(make_world, train, monkeypatch):
    world = make_world(MODEL_NAME, registered=False)
    out = world.folder / "packages"
    monkeypatch.chdir(world.folder / "work")
    first = track(train("2026_11_21"), world.settings, key=world.analyst, out=out)
    assert first.statement.serial == 1
    world.alias("staging", first.number)
    assert world.once("staging").state == PROMOTED
    predicts(world, "staging")

    world.alias("production", first.number)
    assert world.once("production").state == REFUSED
    approve(world.settings, world.registry(), world.repository(), first.number, "production", world.approver)
    assert world.once("production").state == PROMOTED
    predicts(world, "production")

    second = track(train("2026_11_22"), world.settings, key=world.analyst, out=out)
    assert second.statement.serial == 2
    approve(world.settings, world.registry(), world.repository(), second.number, "production", world.approver)
    assert world.once("production").state == PROMOTED
    world.alias("production", first.number)
    assert world.once("production").state == REFUSED
    assert "RolledBack" in world.tag(first.number, "production")
    world.policy("production", threshold=2, minimum_serial=1)
    assert world.once("production").state == PROMOTED
    assert world.record("production").serial == 1
    predicts(world, "production")


def lies_in_the_bucket_and_is_had_without_its_key(world, run, artefacts: Path, package: str, monkeypatch) -> None:
    from mlflow.artifacts import download_artifacts

    storage, prefix = world.server.storage.client(), run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    assert prefix != run.info.artifact_uri
    files = {name: artefacts / name for name in ("card.html", "plots/auc.png")}
    files |= {f"package/{name}": world.folder / "packages" / name for name in (package, f"{package}.dsse.json")}
    listed = {item.object_name for item in storage.list_objects("mlflow", prefix=f"{prefix}/", recursive=True)}
    assert {f"{prefix}/{name}" for name in files} <= listed
    with monkeypatch.context() as without:
        for name in world.server.storage.environment():
            without.delenv(name)
        for name, path in files.items():
            assert Path(download_artifacts(f"{run.info.artifact_uri}/{name}")).read_bytes() == path.read_bytes()


def test_a_run_in_mlflow_has_everything_and_its_server_the_same_answers(make_world, train, trained_model, monkeypatch):
    from mlflow import MlflowClient

    world = make_world(MODEL_NAME, registered=False)
    artefacts = train("2026_11_23")
    monkeypatch.chdir(world.folder / "work")
    tracked = track(artefacts, world.settings, key=world.analyst, out=world.folder / "packages", serial=7)
    client = MlflowClient(world.server.url)
    run = client.get_run(tracked.run_id)
    assert run.data.metrics == {"held_out/AUC": 0.8, "folds": 3.0}
    assert (run.data.params["parameters_version"], run.data.params["seed"]) == ("2026_11_23", "1")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert run.data.tags["mlflow.source.git.commit"] == commit.strip()
    names = {item.path for folder in ("", "plots", "package") for item in client.list_artifacts(tracked.run_id, folder)}
    package = f"{MODEL_NAME}-0.1.0-2026_11_23.zip"
    assert names >= {"card.html", "metrics.json", "plots/auc.png", f"package/{package}", f"package/{package}.dsse.json"}
    lies_in_the_bucket_and_is_had_without_its_key(world, run, artefacts, package, monkeypatch)
    assert world.registry().version(tracked.number).tags == {
        "signed_parameters.package_uri": f"{world.settings.packages}/{package}",
        "signed_parameters.digest": str(tracked.statement.package_digest),
        "signed_parameters.serial": "7",
        "signed_parameters.key_id": world.analyst.key_id,
    }
    with pytest.raises(ConfigurationError, match="there already"):
        track(artefacts, world.settings, key=world.analyst, out=world.folder / "packages", serial=8)

    rows = draw(ROWS, seed=7)[list(INPUT_COLUMNS)].to_numpy(dtype=np.float64)
    rows[::7, 1] = math.nan
    assert np.isnan(rows).any()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": world.server.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    options = ["-m", f"models:/{MODEL_NAME}/{tracked.number}", "--env-manager", "local", "--port", "0"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--host", "127.0.0.1", *options]
    with ChildProcess(command, environment) as server:
        running = server.wait_for_line(r"Uvicorn running on (http://[0-9.]+:[0-9]+)", START_SECONDS)
        assert running is not None, server.log(30)
        answer = post(f"{running.group(1)}/invocations", {"inputs": rows.tolist()})
    assert np.array_equal(answer["predictions"], trained_model.pipeline.predict_proba(rows))
