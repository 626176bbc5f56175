"""The command with a scheduler elsewhere: whatever happens to it and its workers, the output is right or not there."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from distributed.security import Security

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
SECONDS = 300

Command = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def configuration(bucket: Any, write_configuration: Callable[..., Path]) -> Path:
    return write_configuration(bucket.settings())


@pytest.fixture
def start(configuration: Path) -> Command:
    """`start(source, output, ..., environment)` starts the command."""

    def start(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        command = [COMMAND, "score", *map(str, arguments), "--config", str(configuration)]
        environment = {**os.environ, **(environment or {})}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    return start


def _end(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for the end, and return all that the command said, on one line."""
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == status, out + err
    assert "Traceback" not in err
    return " ".join((out + err).split())


def _wait_for_parts(process: subprocess.Popen[str], output: Path, number: int = 1) -> None:
    """Wait until some parts are done."""
    while len(list(output.parent.glob(f".{output.name}.unfinished/*/*.scores"))) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def test_the_output_is_the_same_and_each_worker_fetches_the_package_once(
    make_cluster: Any,
    proxy: Any,
    bucket: Any,
    write_configuration: Callable[..., Path],
    start: Command,
    s3_server: Any,
    s3_bucket: str,
    csv_source: Path,
    tmp_path: Path,
) -> None:
    _end(start(csv_source, tmp_path / "here.csv", "--workers", 1, "--partition-rows", 3_000))
    client = s3_server.settings.client()
    for path in bucket.folder.iterdir():
        client.fput_object(s3_bucket, path.name, str(path))
    secrets = {"MINIO_ACCESS_KEY": s3_server.access_key, "MINIO_SECRET_KEY": s3_server.secret_key}
    seen = proxy(s3_server.url)
    references = {"minio_access_key": "${MINIO_ACCESS_KEY}", "minio_secret_key": "${MINIO_SECRET_KEY}"}
    write_configuration(bucket.settings(model_files_bucket=s3_bucket, minio_url=seen.url, **references))
    fetched = []
    with make_cluster(2, secrets) as cluster:
        for rows in (100, 10**9):
            options = ["--scheduler", cluster.address, "--partition-rows", rows, "--overwrite"]
            _end(start(csv_source, tmp_path / "there.csv", *options, environment=cluster.environment | secrets))
            assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
            fetched.append(seen.requests.count(f"GET /{s3_bucket}/{bucket.package.name}"))
    assert fetched == [3, 4]  # the command and each worker, then the command alone


def test_what_a_worker_lacks_and_what_is_killed_is_told_and_a_later_run_goes_on(
    start: Command,
    make_cluster: Any,
    bucket: Any,
    write_configuration: Callable[..., Path],
    csv_source: Path,
    answers: list[float],
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.parquet"
    key = {"THE_KEY": str(bucket.key.verification_key)}
    with make_cluster(2) as cluster:
        options = ["--scheduler", cluster.address, "--partition-rows", 50]
        write_configuration(bucket.settings(parameters_verification_keys=["${THE_KEY}"]))
        said = _end(start(csv_source, output, *options, environment=cluster.environment | key), 2)
        assert "THE_KEY is missing" in said
        write_configuration(bucket.settings())
        process = start(csv_source, output, *options, environment=cluster.environment)
        _wait_for_parts(process, output, 1)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        _wait_for_parts(process, output, 50)
        os.kill(cluster.scheduler.pid, signal.SIGKILL)
        said = _end(process, 3)
    assert "Unavailable: the connection to the scheduler broke off" in said
    assert "what is done stays" in said
    assert not output.exists()
    said = _end(start(csv_source, output, "--workers", 1, "--partition-rows", 50))
    assert "of them done before" in said
    assert pq.read_table(output)["probability"].to_pylist() == answers


def test_a_worker_with_other_code_a_tampered_package_and_a_stranger(
    start: Command, make_cluster: Any, bucket: Any, csv_source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    other_version = "import diabetes_risk_model\ndiabetes_risk_model.__version__ = '0.0.1'\n"
    with make_cluster(1, preload=other_version) as cluster:
        options = ["--scheduler", cluster.address]
        said = _end(start(csv_source, output, *options, environment=cluster.environment), 2)
        assert "a worker runs another version of the code: expected" in said
        assert not output.exists()
        content = bucket.package.read_bytes()
        bucket.package.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        said = _end(start(csv_source, tmp_path / "new.csv", *options, environment=cluster.environment), 1)
        assert "DigestMismatch" in said
        assert not list(tmp_path.glob("*new.csv*"))
        for stranger in (
            {"address": cluster.address.replace("tls", "tcp")},
            {"address": cluster.address, "security": Security.temporary()},
        ):
            with pytest.raises(OSError, match=r"Timed out|reset|closed|certificate"):
                Client(**stranger, timeout=1)
            gc.collect()  # the client, which is closed when it is collected: better now than while another starts


def test_who_reaches_a_scheduler_without_tls_runs_code_on_its_workers(tmp_path: Path) -> None:
    """Why such a scheduler has to be out of reach: Dask does what it is told, by anybody."""
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "n_workers": 1, "threads_per_worker": 1}
    with LocalCluster(protocol="tcp://", **options) as cluster, Client(cluster.scheduler_address) as stranger:
        stranger.submit((tmp_path / "was here").touch).result()
    assert (tmp_path / "was here").exists()
