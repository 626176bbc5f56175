"""The Job's commands, as they are rendered, against a real S3 server; on MinIO also what its users may do."""

import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minio.error import InvalidResponseError, S3Error

from signed_parameters import AccessDenied, NotFound
from signed_parameters.storage import open_storage
from signed_parameters.storage.s3 import S3Settings
from tests.kubernetes.manifests import FOLDER, rendered

Run = Callable[..., subprocess.CompletedProcess[str]]
_MOUNTED = "/etc/storage/storage.py"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("prepare", environment, BUCKET=...)` runs a container's command with what the pods get as their script."""
    job = rendered("base").pod("storage")
    script = tmp_path / "storage.py"
    script.write_text(rendered("base").find("ConfigMap", "storage-script")["data"]["storage.py"])

    def run_container(
        name: str, environment: dict[str, str], changes: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        (container,) = [one for one in job.containers if one["name"] == name]
        command: list[str] = container["command"]
        assert command[:2] == ["python3", _MOUNTED]
        assert set(environment) <= {variable["name"] for variable in container["env"]}
        command = [sys.executable, str(script), *command[2:]]
        for old, new in changes.items():
            command = [part.replace(old, new) for part in command]
        variables = {"PATH": os.environ["PATH"], **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)

    return run_container


@pytest.fixture
def run_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_script(["prepare-own", "BUCKET"], environment)` runs the script by itself."""

    def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(FOLDER / "base" / "storage.py"), *arguments]
        variables = {"PATH": os.environ["PATH"], **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def packages(tmp_path: Path, bucket: Any) -> Path:
    """A folder of one signed package."""
    assert isinstance(bucket.folder, Path)
    return bucket.folder


def owner(s3_server: Any) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }


def is_minio(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/minio/health/live", timeout=10) as answer:
            return bool(answer.headers.get("Server") == "MinIO")
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_the_script_is_the_one_in_the_folder() -> None:
    script = rendered("base").find("ConfigMap", "storage-script")["data"]["storage.py"]
    assert script == (FOLDER / "base" / "storage.py").read_text()


def test_uploads_each_package_and_can_run_again(run: Run, s3_server: Any, s3_bucket: str, packages: Path) -> None:
    changes = {"/packages": str(packages), "model-files": s3_bucket}
    first = run("upload", owner(s3_server), changes)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count("uploaded") == 2
    stored = open_storage(f"s3://{s3_bucket}", settings=s3_server.settings)
    assert sorted(stored.names()) == sorted(path.name for path in packages.iterdir())
    again = run("upload", owner(s3_server), changes)
    assert (again.returncode, again.stdout.count("is there")) == (0, 2)


@pytest.mark.parametrize("longer", [True, False])
def test_never_replaces_what_is_stored(run: Run, s3_server: Any, s3_bucket: str, packages: Path, longer: bool) -> None:
    (package,) = packages.glob("*.zip")
    content = package.read_bytes()
    s3_server.settings.client().fput_object(s3_bucket, package.name, str(package))
    package.write_bytes(content + b"x" if longer else content[:-1])
    done = run("upload", owner(s3_server), {"/packages": str(packages), "model-files": s3_bucket})
    assert done.returncode == 2
    assert done.stderr.startswith("ConfigurationError: ")
    assert done.stderr.count("\n") == 1
    with open_storage(f"s3://{s3_bucket}", settings=s3_server.settings).stream(package.name) as stored:
        assert b"".join(stored.chunks) == content


def test_uploads_nothing_unsigned(run: Run, s3_server: Any, s3_bucket: str, packages: Path) -> None:
    (envelope,) = packages.glob("*.json")
    envelope.unlink()
    done = run("upload", owner(s3_server), {"/packages": str(packages), "model-files": s3_bucket})
    assert done.returncode == 3
    assert done.stderr.startswith("NotFound: ")
    empty = run("upload", owner(s3_server), {"/packages": str(packages / "none"), "model-files": s3_bucket})
    assert empty.returncode == 3
    assert "no package" in empty.stderr


def test_a_missing_variable_is_named(run: Run, s3_server: Any, s3_bucket: str) -> None:
    done = run("prepare", owner(s3_server), {"model-files": s3_bucket})
    assert done.returncode == 2
    assert done.stderr == (
        "ConfigurationError: the environment variable READER_ACCESS_KEY is missing. Set it where this is started.\n"
    )


def users() -> dict[str, str]:
    return {
        f"{role}_{kind}_KEY": secrets.token_hex(10) for role in ("READER", "PUBLISHER") for kind in ("ACCESS", "SECRET")
    }


def test_a_server_that_is_not_minio_makes_no_users(run: Run, s3_server: Any, s3_bucket: str) -> None:
    if is_minio(s3_server.url):
        pytest.skip("this server is MinIO")
    done = run("prepare", {**owner(s3_server), **users()}, {"model-files": s3_bucket})
    assert done.returncode == 3
    assert done.stderr.startswith("AccessDenied: ")
    assert done.stderr.count("\n") == 1


def test_the_reader_can_only_read_and_the_publisher_only_add(
    run: Run, s3_server: Any, packages: Path, tmp_path: Path
) -> None:
    if not is_minio(s3_server.url):
        pytest.skip("TEST_S3_ENDPOINT names no MinIO server: .ci/with_minio starts one")
    bucket, other = f"test-{secrets.token_hex(8)}", f"test-{secrets.token_hex(8)}"
    made = users()
    client = s3_server.settings.client()
    client.make_bucket(other)
    try:
        for _ in range(2):  # the second time changes nothing
            done = run("prepare", {**owner(s3_server), **made}, {"model-files": bucket})
            assert (done.returncode, done.stderr) == (0, "")
        publisher = S3Settings(s3_server.url, made["PUBLISHER_ACCESS_KEY"], made["PUBLISHER_SECRET_KEY"])
        reader = S3Settings(s3_server.url, made["READER_ACCESS_KEY"], made["READER_SECRET_KEY"])
        environment = {
            "AWS_ENDPOINT_URL": s3_server.url,
            "AWS_ACCESS_KEY_ID": made["PUBLISHER_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": made["PUBLISHER_SECRET_KEY"],
        }
        changes = {"/packages": str(packages), "model-files": bucket}
        assert run("upload", environment, changes).returncode == 0

        reading = open_storage(f"s3://{bucket}", settings=reader)
        publishing = open_storage(f"s3://{bucket}", settings=publisher)
        (name,) = reading.names(".zip")
        with reading.stream(name) as stored:
            assert b"".join(stored.chunks) == (packages / name).read_bytes()
        with pytest.raises(NotFound):
            reading.stream("absent.zip").__enter__()
        with pytest.raises(AccessDenied):
            reading.write_bytes("new.zip", b"x", overwrite=True)
        with pytest.raises(AccessDenied):
            reading.write_bytes(name, b"x", overwrite=True)
        for settings in (reader, publisher):
            assert "AccessDenied" in _refusal(lambda client: client.remove_object(bucket, name), settings)
            assert "AccessDenied" in _refusal(lambda client: client.make_bucket(f"{bucket}-2"), settings)
            with pytest.raises(AccessDenied):
                list(open_storage(f"s3://{other}", settings=settings).names())
        publishing.write_bytes("new.zip", b"x")
    finally:
        for item in client.list_objects(bucket):
            client.remove_object(bucket, item.object_name)
        client.remove_bucket(bucket)
        client.remove_bucket(other)


def test_the_owner_of_a_bucket_can_do_everything_there_and_nothing_elsewhere(
    run_script: Callable[..., subprocess.CompletedProcess[str]], s3_server: Any
) -> None:
    if not is_minio(s3_server.url):
        pytest.skip("TEST_S3_ENDPOINT names no MinIO server: .ci/with_minio starts one")
    bucket, other = f"test-{secrets.token_hex(8)}", f"test-{secrets.token_hex(8)}"
    keys = {"OWNER_ACCESS_KEY": secrets.token_hex(10), "OWNER_SECRET_KEY": secrets.token_hex(10)}
    client = s3_server.settings.client()
    client.make_bucket(other)
    try:
        for _ in range(2):  # the second time changes nothing
            done = run_script(["prepare-own", bucket], {**owner(s3_server), **keys})
            assert (done.returncode, done.stderr) == (0, "")
        settings = S3Settings(s3_server.url, keys["OWNER_ACCESS_KEY"], keys["OWNER_SECRET_KEY"])
        own = open_storage(f"s3://{bucket}", settings=settings)
        own.write_bytes("scores.parquet", b"1")
        own.write_bytes("scores.parquet", b"2", overwrite=True)
        assert own.read("scores.parquet", 10) == b"2"
        own.remove("scores.parquet")
        assert list(own.names()) == []
        assert "AccessDenied" in _refusal(lambda client: client.make_bucket(f"{bucket}-2"), settings)
        assert "AccessDenied" in _refusal(lambda client: client.remove_bucket(bucket), settings)
        with pytest.raises(AccessDenied):
            list(open_storage(f"s3://{other}", settings=settings).names())
    finally:
        client.remove_bucket(bucket)
        client.remove_bucket(other)


def _refusal(action: Callable[[Any], object], settings: S3Settings) -> str:
    with pytest.raises((S3Error, InvalidResponseError)) as refused:
        action(settings.client())
    return str(refused.value)
