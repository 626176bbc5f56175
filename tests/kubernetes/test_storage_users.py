"""kubernetes/teams/storage: on MinIO, each program's user may do what it needs, and no more."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signed_parameters import AccessDenied
from signed_parameters.storage import Storage, open_storage
from signed_parameters.storage.s3 import S3Settings
from tests.kubernetes.manifests import FOLDER, build
from tests.kubernetes.promoted import settings
from tests.kubernetes.test_storage_job import is_minio, owner

SCRIPT = FOLDER / "teams" / "storage" / "users.py"
WRITES = {
    "diabetes-analysts/registry-storage": ["registry-diabetes-analysts"],
    "diabetes-analysts/publisher": ["model-packages"],
    "diabetes-promotion/promotion-storage": ["production-files", "staging-files"],
    "diabetes-staging/model-reader": [],
    "diabetes-production/model-reader": [],
    "heart-analysts/registry-storage": ["registry-heart-analysts"],
}
READS = WRITES | {
    "diabetes-promotion/promotion-storage": ["model-packages", "production-files", "staging-files"],
    "diabetes-staging/model-reader": ["staging-files"],
    "diabetes-production/model-reader": ["production-files"],
}
BUCKETS = sorted({bucket for buckets in READS.values() for bucket in buckets})


def credentials(folder: Path) -> dict[str, tuple[str, str]]:
    """Write credentials for every user, as the README does; return them."""
    made = {}
    for user in WRITES:
        kind = (
            "MINIO_ACCESS_KEY MINIO_SECRET_KEY"
            if user.endswith("reader")
            else "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"
        )
        made[user] = (secrets.token_hex(10), secrets.token_hex(10))
        (folder / user).mkdir(parents=True)
        for name, value in zip(kind.split(), made[user], strict=True):
            (folder / user / name).write_text(value)
    return made


def run(s3_server: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], **owner(s3_server)}
    command = [sys.executable, str(SCRIPT), str(folder)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


def may(work: Any) -> bool:
    try:
        work()
    except AccessDenied:
        return False
    return True


def test_each_user_may_do_what_it_needs_and_no_more(s3_server: Any, tmp_path: Path) -> None:
    if not is_minio(s3_server.url):
        pytest.skip("this S3 server is not MinIO, so users cannot be made (.ci/with_minio runs one)")
    made = credentials(tmp_path)
    for _ in range(2):  # it can run again
        done = run(s3_server, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(line.split(":")[0] for line in done.stdout.splitlines()) == sorted(WRITES)
        assert not any(part in done.stdout for pair in made.values() for part in pair)
    for bucket in BUCKETS:
        open_storage(f"s3://{bucket}", settings=s3_server.settings).write_bytes("there", b"1", overwrite=True)
    for user, pair in made.items():
        reads, writes, removes = [], [], []
        for bucket in BUCKETS:
            storage: Storage = open_storage(f"s3://{bucket}", settings=S3Settings(s3_server.url, *pair))
            name = f"{user}/new"
            if may(lambda storage=storage: storage.read("there", 10)):
                reads.append(bucket)
            if may(lambda storage=storage, name=name: storage.write_bytes(name, b"2", overwrite=True)):
                writes.append(bucket)
                if may(lambda storage=storage, name=name: storage.remove(name)):
                    removes.append(bucket)
        assert (user, reads, writes) == (user, READS[user], WRITES[user])
        assert removes == [bucket for bucket in writes if bucket.startswith("registry-")]


def test_missing_credentials_are_named(s3_server: Any, tmp_path: Path) -> None:
    done = run(s3_server, tmp_path)
    assert done.returncode == 2
    assert "diabetes-analysts/registry-storage/AWS_ACCESS_KEY_ID" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_users_are_those_whose_secrets_the_pods_ask_for() -> None:
    for name in ("diabetes-analysts", "heart-analysts"):
        for item in build(FOLDER / "teams" / name):
            if item["kind"] == "Deployment":
                (container,) = item["spec"]["template"]["spec"]["containers"]
                references = [
                    one["valueFrom"]["secretKeyRef"]["name"]
                    for one in container["env"]
                    if "secretKeyRef" in one.get("valueFrom", {})
                ]
                stored = {f"{item['metadata']['namespace']}/{one}" for one in references if one.endswith("-storage")}
                assert len(stored) == 1
                assert stored <= set(WRITES)
    for stage in settings()["stages"].values():
        assert READS[f"{stage['namespace']}/model-reader"] == [stage["bucket"].removeprefix("s3://")]
    assert settings()["packages"].removeprefix("s3://") in READS["diabetes-promotion/promotion-storage"]
