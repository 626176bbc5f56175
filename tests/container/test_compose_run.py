"""compose.yaml, run for real by podman-compose: MinIO, the jobs, the service; a prediction; then down."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diabetes_risk_model.compose_environment import compose_environment, write_environment
from signed_parameters import AccessDenied
from signed_parameters.storage.s3 import S3Settings, S3Storage
from tests.container.conftest import Container, image_named, podman

ROOT = Path(__file__).parents[2]
# podman-compose waits for what is to be done first; podman 4 fails to start what requires a container that has ended.
PODMAN = """#!/usr/bin/env python3
import os, sys
os.execvp("podman", ["podman", *(word for word in sys.argv[1:] if not word.startswith("--requires="))])
"""
PREDICTION = "/api/models/diabetes_risk_model/prediction"


@pytest.fixture
def project(service_image: str, signed: Any, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The project, up and ready, with all that is its own below a folder of the test."""
    if importlib.util.find_spec("podman_compose") is None:
        pytest.skip("podman-compose is not installed")
    minio = image_named("TEST_MINIO_IMAGE")
    package, key = signed
    packages = tmp_path / "packages"
    shutil.copytree(package.parent, packages)
    for path in (*tmp_path.parents, tmp_path, packages):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    packages.chmod(0o755)
    variables = compose_environment(packages / package.name, [key.verification_key])
    write_environment(variables, tmp_path / ".env")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"SERVICE_IMAGE": service_image, "MINIO_IMAGE": minio, "SERVICE_PORT": str(port)}
    name = f"test{port}"
    command = [sys.executable, "-m", "podman_compose", "--project-name", name, "--profile", "minio"]
    wrapper = tmp_path / "podman"
    wrapper.write_text(PODMAN)
    wrapper.chmod(0o755)
    command += [
        "--podman-path",
        str(wrapper),
        "--env-file",
        str(tmp_path / ".env"),
        "--file",
        str(ROOT / "compose.yaml"),
    ]

    def compose(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=240)

    try:
        up = compose("up", "--detach", "--no-build")
        assert up.returncode == 0, up.stdout + up.stderr
        yield {"name": name, "port": port, "variables": variables}
    finally:
        compose("down", "--volumes", "--timeout", "5")


def test_the_whole_of_it(project: dict[str, Any], signed: Any) -> None:
    package, _ = signed
    service = Container(f"{project['name']}_service_1", project["port"])
    service.wait_ready()
    status, body = service.ask(PREDICTION, {"body_mass_index": 31})
    assert (status, set(json.loads(body))) == (200, {"diabetes_risk", "probability"})

    variables = project["variables"]
    address = podman(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", f"{project['name']}_minio_1"
    )
    reader = S3Settings(
        f"http://{address.strip()}:9000", variables["READER_ACCESS_KEY"], variables["READER_SECRET_KEY"]
    )
    with pytest.raises(AccessDenied):
        S3Storage("model-files", settings=reader).write(package.name, package, overwrite=True)

    begun = time.monotonic()
    podman("stop", "--time", "30", service.name)
    assert time.monotonic() - begun < 30
    assert service.status("ExitCode") == "0"
