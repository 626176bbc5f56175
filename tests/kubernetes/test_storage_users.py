"""kubernetes/teams/storage: on MinIO, each program's user may do what it needs, and no more."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from signed_parameters import AccessDenied
from signed_parameters.child_process import free_port
from signed_parameters.storage import Storage, open_storage
from signed_parameters.storage.s3 import S3Settings
from tests.kubernetes.manifests import FOLDER, build
from tests.kubernetes.promoted import settings
from tests.kubernetes.test_storage_job import is_minio, owner

SCRIPT = FOLDER / "teams" / "storage" / "users.py"
WRITES = {
    "diabetes-analysts/registry-storage": ["registry-diabetes-analysts"],
    "diabetes-analysts/publisher": ["model-packages"],
    "diabetes-analysts/approver": [],
    "diabetes-promotion/promotion-storage": ["production-files", "staging-files"],
    "diabetes-staging/model-reader": [],
    "diabetes-production/model-reader": [],
    "heart-analysts/registry-storage": ["registry-heart-analysts"],
}
READS = WRITES | {
    "diabetes-analysts/approver": ["model-packages"],
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


def run(s3_server: Any, folder: Path, **others: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], **owner(s3_server), **others}
    command = [sys.executable, str(SCRIPT), str(folder)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


def needs_minio(s3_server: Any) -> None:
    if not is_minio(s3_server.url):
        pytest.skip("this S3 server is not MinIO, so users cannot be made (.ci/with_minio runs one)")


def may(work: Any) -> bool:
    try:
        work()
    except AccessDenied:
        return False
    return True


def test_each_user_may_do_what_it_needs_and_no_more(s3_server: Any, tmp_path: Path) -> None:
    needs_minio(s3_server)
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


def test_an_approver_writes_envelopes_and_nothing_else(s3_server: Any, tmp_path: Path) -> None:
    needs_minio(s3_server)
    made = credentials(tmp_path)
    assert run(s3_server, tmp_path).returncode == 0
    as_owner = open_storage("s3://model-packages", settings=s3_server.settings)
    as_owner.write_bytes("m/1.zip", b"package", overwrite=True)
    approver = S3Settings(s3_server.url, *made["diabetes-analysts/approver"])
    storage = open_storage("s3://model-packages", settings=approver)
    assert storage.read("m/1.zip", 10) == b"package"
    for name in ("1.dsse.json", "m/1.zip.dsse.json"):
        storage.write_bytes(name, b"one signature", overwrite=True)
        storage.write_bytes(name, b"two signatures", overwrite=True)
        assert not may(lambda name=name: storage.remove(name))
        assert as_owner.read(name, 20) == b"two signatures"
    for name in ("m/1.zip", "m/2.zip", "1.dsse.json.zip", "1.dsse.json/x", "dsse.json"):
        assert not may(lambda name=name: storage.write_bytes(name, b"other", overwrite=True)), name
    assert as_owner.read("m/1.zip", 10) == b"package"


def test_with_new_credentials_the_earlier_ones_are_of_no_use(s3_server: Any, tmp_path: Path) -> None:
    needs_minio(s3_server)
    first, second = credentials(tmp_path / "first"), credentials(tmp_path / "second")
    assert run(s3_server, tmp_path / "first").returncode == 0
    administration, theirs = administrator(s3_server), []
    for policies in (["readonly"], ["readonly", "diabetes-analysts-publisher"], []):  # users whom others made
        pair = (secrets.token_hex(10), secrets.token_hex(10))
        administration.user_add(*pair)
        if policies:
            administration.attach_policy(policies, user=pair[0])
        theirs.append(pair[0])

    def reads(pair: tuple[str, str], bucket: str) -> bool:
        storage = open_storage(f"s3://{bucket}", settings=S3Settings(s3_server.url, *pair))
        return may(lambda: list(storage.names()))

    try:
        for user, pair in first.items():
            assert reads(pair, READS[user][0]), user
        done = run(s3_server, tmp_path / "second")
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.endswith("; earlier users removed: 1") for line in done.stdout.splitlines()] == [True] * len(
            WRITES
        )
        for user in WRITES:
            assert not reads(first[user], READS[user][0]), user
            assert reads(second[user], READS[user][0]), user
        assert set(theirs) <= set(json.loads(administration.user_list()))
    finally:
        for name in theirs:
            administration.user_remove(name)


def administrator(s3_server: Any) -> MinioAdmin:
    provider = StaticProvider(s3_server.access_key, s3_server.secret_key)
    return MinioAdmin(endpoint=s3_server.url.partition("://")[2], credentials=provider, secure=False)


def test_a_storage_that_is_away_is_named(s3_server: Any, tmp_path: Path) -> None:
    credentials(tmp_path)
    address = f"http://127.0.0.1:{free_port()}"
    done = run(s3_server, tmp_path, AWS_ENDPOINT_URL=address)
    assert done.returncode == 3
    assert f"Unavailable: {address} does not answer" in done.stderr
    assert "Check that the server runs" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_access_key_is_not_given_to_two_users(s3_server: Any, tmp_path: Path) -> None:
    credentials(tmp_path)
    shared = (tmp_path / "diabetes-analysts/publisher/AWS_ACCESS_KEY_ID").read_text()
    (tmp_path / "diabetes-analysts/approver/AWS_ACCESS_KEY_ID").write_text(shared)
    done = run(s3_server, tmp_path)
    assert done.returncode == 2
    assert "two users" in done.stderr
    assert shared not in done.stderr


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
