"""The batch image in the very pods of kubernetes/batch: score, drift check, and a Dask cluster of two workers.

Different from a cluster: the pods are on the network of the host, so the storage has another address, ports are free
ones, and a name is looked up in a file.
"""

import base64
import io
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from distributed.security import Security

from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.drift.training_profile import FILE
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.training.distributions import training_profile
from diabetes_risk_model.training.train import SELECTED
from signed_parameters.child_process import free_port
from tests.container.batch_pods import HOST, World
from tests.container.conftest import podman, remove
from tests.diabetes_risk_model.conftest import make_bucket
from tests.kubernetes.batch import DRIFT, JOB, SCHEDULER, SCORE, WORKER, with_batch, with_made
from tests.kubernetes.conftest import URL
from tests.kubernetes.manifests import Manifests

__all__ = ["make_bucket"]

ROWS = 4_000
_SECONDS = 180


@pytest.fixture
def world(
    batch_image: str, make_bucket: Any, trained_model: Any, s3_server: Any, s3_bucket: str, tmp_path: Path
) -> World:
    frame = draw(2_000, seed=1)
    probabilities = trained_model.pipeline.predict_proba(frame[list(INPUT_COLUMNS)].to_numpy(np.float64))[:, 1]
    (tmp_path / FILE).write_bytes(training_profile(frame, SELECTED, probabilities).to_bytes())
    bucket = make_bucket(files={**trained_model.files, FILE: tmp_path / FILE})
    client = s3_server.settings.client()
    for path in bucket.folder.iterdir():
        client.fput_object(s3_bucket, path.name, str(path))
    for number, name in enumerate(("2026-11-21", "2026/01", "2026/02")):
        path = tmp_path / "input.parquet"
        draw(ROWS, seed=number)[list(INPUT_COLUMNS)].to_parquet(path, row_group_size=500)
        client.fput_object(s3_bucket, f"input/{name}.parquet", str(path))
    (tmp_path / "tree").mkdir()
    text = yaml.safe_dump_all(with_batch(tmp_path / "tree"))
    assert "s3://batches/" in text
    text = text.replace("s3://batches/", f"s3://{s3_bucket}/").replace(URL, s3_server.url)
    text = text.replace("model_files_bucket: model-files", f"model_files_bucket: {s3_bucket}")
    objects = with_made(Manifests(yaml.safe_load_all(text)))
    keys = str(bucket.key.verification_key)
    objects.find("ConfigMap", "model-parameters")["data"]["PARAMETERS_VERIFICATION_KEYS"] = keys
    certificate = Security.temporary()
    secrets = {
        "model-reader": {"MINIO_ACCESS_KEY": s3_server.access_key, "MINIO_SECRET_KEY": s3_server.secret_key},
        "batch-storage": {"AWS_ACCESS_KEY_ID": s3_server.access_key, "AWS_SECRET_ACCESS_KEY": s3_server.secret_key},
        "dask-tls": {
            "ca.crt": str(certificate.tls_ca_file),
            "tls.crt": str(certificate.tls_client_cert),
            "tls.key": str(certificate.tls_client_key),
        },
    }
    return World(objects, batch_image, s3_bucket, client, bucket.package, secrets, tmp_path)


@pytest.fixture
def play(world: World) -> Iterator[Callable[[str], tuple[int, str]]]:
    """`play("score")` plays a pod to its end by podman, with what it refers to. Returns its exit status and its log."""
    files: list[Path] = []
    for name in ("model-reader", "batch-storage"):
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in world.secrets[name].items()}
        path = world.folder / f"{name}.json"
        path.write_text(json.dumps(encoded))
        podman("secret", "create", name, str(path))

    def start(name: str) -> tuple[int, str]:
        pod = world.pod(name)
        (container,) = pod.spec["containers"]
        container["image"] = world.image
        item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"batch-{name}", "labels": pod.labels}}
        maps = [each for each in world.objects if each["kind"] == "ConfigMap"]
        path = world.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump_all([*maps, {**item, "spec": pod.spec}]))
        files.append(path)
        podman("kube", "play", "--network", "host", str(path))
        full = f"batch-{name}-{container['name']}"
        status = int(podman("wait", full))
        (found,) = json.loads(podman("inspect", full))
        assert found["HostConfig"]["ReadonlyRootfs"] is True
        assert found["EffectiveCaps"] in (None, [])
        assert found["Config"]["User"] == "10001:10001"
        done = subprocess.run(["podman", "logs", full], capture_output=True, text=True, check=True)
        podman("kube", "down", str(path))
        files.remove(path)
        return status, done.stdout + done.stderr

    try:
        yield start
    finally:
        for path in files:
            podman("kube", "down", str(path), check=False)
        for name in ("model-reader", "batch-storage"):
            podman("secret", "rm", name)


def test_the_job_scores_and_the_cron_job_finds_no_drift(
    world: World, play: Callable[[str], tuple[int, str]], trained_model: Any
) -> None:
    status, log = play(SCORE)
    assert status == 0, log
    scores = pq.read_table(io.BytesIO(world.read("scores/2026-11-21.parquet")))
    rows = draw(ROWS, seed=0)[list(INPUT_COLUMNS)].to_numpy(np.float64)
    assert scores["probability"].to_pylist() == trained_model.pipeline.predict_proba(rows)[:, 1].tolist()
    status, log = play(DRIFT)
    assert status == 0, log
    assert '"status": "stable"' in log
    assert b"No drift was found" in world.read("drift/2026-11-21.html")


def test_the_cron_job_fails_where_there_is_drift(world: World, play: Callable[[str], tuple[int, str]]) -> None:
    frame = draw(ROWS, seed=3)[list(INPUT_COLUMNS)]
    frame["Age"] = 13
    path = world.folder / "older.parquet"
    frame.to_parquet(path)
    world.client.fput_object(world.bucket, "input/2026-11-21.parquet", str(path))
    assert play(SCORE)[0] == 0
    status, log = play(DRIFT)
    assert status == 4, log
    assert b"has drifted away" in world.read("drift/2026-11-21.html")


def test_with_a_tampered_package_the_jobs_end_with_1_and_no_row_is_written(
    world: World, play: Callable[[str], tuple[int, str]]
) -> None:
    before = world.names()
    world.tamper()
    for name in (SCORE, DRIFT):
        status, log = play(name)
        assert status == 1, log
        assert "DigestMismatch" in log
        assert "Traceback" not in log
    assert world.names() == before


@dataclass
class Cluster:
    """A scheduler and workers that run, and how their addresses are changed."""

    change: Callable[[str], str]
    logs: Callable[[], str]


@pytest.fixture
def cluster(world: World) -> Iterator[Cluster]:
    """The scheduler and two workers of the DaskJob."""
    port = free_port()
    names: list[str] = []

    def change(text: str) -> str:
        return text.replace("8786", str(port)).replace("8790", str(free_port()))

    def logs() -> str:
        done = [subprocess.run(["podman", "logs", name], capture_output=True, text=True) for name in names]
        return "\n".join(each.stdout + each.stderr for each in done)

    try:
        for name in (SCHEDULER, WORKER, WORKER):
            command = world.run(name, "--detach", change=change)
            command.remove("--rm")
            if name == WORKER:
                command[command.index("--name", command.index(world.image)) + 1] += str(len(names))
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            names.append(done.stdout.split()[-1])
        deadline = time.monotonic() + _SECONDS
        while logs().count("Registered to:") < 2:
            assert time.monotonic() < deadline, logs()
            time.sleep(0.2)
        yield Cluster(change, logs)
    finally:
        for name in reversed(names):
            remove(name, 30)


def test_the_dask_job_scores_with_two_workers_over_tls(world: World, cluster: Cluster, trained_model: Any) -> None:
    command = [*world.run(JOB, change=cluster.change), "--partition-rows", "500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr + cluster.logs()
    scores = pq.read_table(io.BytesIO(world.read("scores/2026.parquet")))
    expected = [
        value
        for seed in (1, 2)
        for value in trained_model.pipeline.predict_proba(
            draw(ROWS, seed=seed)[list(INPUT_COLUMNS)].to_numpy(np.float64)
        )[:, 1].tolist()
    ]
    assert scores["probability"].to_pylist() == expected
    assert not world.names("scores/.")


def test_a_client_without_the_certificate_is_not_let_in(world: World, cluster: Cluster) -> None:
    stranger = Security.temporary()
    world.secrets["dask-tls"].update(  # type: ignore[attr-defined]
        {"tls.crt": str(stranger.tls_client_cert), "tls.key": str(stranger.tls_client_key)}
    )
    world.folder = world.folder / "stranger"
    world.folder.mkdir()
    done = subprocess.run(world.run(JOB, change=cluster.change), capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert not world.names("scores/")


def test_the_dask_job_refuses_a_tampered_package(world: World, cluster: Cluster) -> None:
    world.tamper()
    before = world.names()
    done = subprocess.run(world.run(JOB, change=cluster.change), capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DigestMismatch" in done.stderr
    assert world.names() == before


def test_the_job_s_pod_waits_until_the_scheduler_listens(world: World) -> None:
    (waiting,) = world.pod(JOB).spec["initContainers"]
    port = free_port()
    *command, code = [text.replace("8786", str(port)) for text in waiting["command"]]
    started = ["podman", "run", "--rm", "--network", "host", "--add-host", f"{HOST}:127.0.0.1", "--entrypoint"]
    run = [*started, json.dumps(command), world.image, code]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        with socket.create_server(("127.0.0.1", port)):
            assert process.wait(60) == 0
