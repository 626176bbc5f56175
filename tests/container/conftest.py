"""The images, containers of them that are as locked up as in production, and what they serve.

TEST_IMAGE, TEST_INITIALIZER_IMAGE, TEST_PROMOTION_IMAGE, TEST_REGISTRY_IMAGE and TEST_BATCH_IMAGE name images that
podman has: `make image` builds them. Without them tests skip.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from diabetes_risk_model.packaging import package_parameters
from signed_parameters import SigningKey
from signed_parameters.child_process import free_port
from signed_parameters.statement import ENVELOPE_SUFFIX
from tests.diabetes_risk_model.conftest import PARAMETERS_VERSION, TrainedModel, trained_model

__all__ = ["trained_model"]

LOCKED = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:size=64m,mode=1777", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--network", "host"),
)
_PATIENCE_SECONDS = 120.0


def podman(*arguments: str, check: bool = True) -> str:
    """Run podman and return what it printed, both streams where it fails."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"podman {arguments[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def remove(container: str, seconds: int) -> None:
    """Stop a container, which has so many seconds for it, and remove it."""
    removing = ("rm", "--force", "--time", str(seconds), container)
    try:
        podman(*removing)
    except AssertionError:  # podman fails where a container ends just before it would be killed, and leaves it there
        podman(*removing)


def image_named(variable: str) -> str:
    """Return the image that a variable names, or skip the test with the reason."""
    name = os.environ.get(variable)
    if not name:
        pytest.skip(f"{variable} names no image")
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    if subprocess.run(["podman", "image", "exists", name], capture_output=True).returncode != 0:
        pytest.skip(f"podman has no image {name}")
    return name


@pytest.fixture(scope="session")
def service_image() -> str:
    return image_named("TEST_IMAGE")


@pytest.fixture(scope="session")
def initializer_image() -> str:
    return image_named("TEST_INITIALIZER_IMAGE")


@pytest.fixture(scope="session")
def batch_image() -> str:
    return image_named("TEST_BATCH_IMAGE")


@pytest.fixture(scope="session")
def promotion_image() -> str:
    return image_named("TEST_PROMOTION_IMAGE")


@pytest.fixture(scope="session")
def registry_image() -> str:
    return image_named("TEST_REGISTRY_IMAGE")


@dataclass
class Container:
    """A container that runs until the test ends."""

    name: str
    port: int

    def execute(self, code: str) -> str:
        """Run Python code in it."""
        return podman("exec", self.name, "python3", "-c", code)

    def log(self) -> str:
        done = subprocess.run(["podman", "logs", self.name], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def status(self, field: str) -> str:
        return podman("inspect", "--format", f"{{{{.State.{field}}}}}", self.name).strip()

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and answer of a request; 0 where nothing listens."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def wait(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not reached():
            if time.monotonic() > deadline or self.status("Running") != "true":
                raise AssertionError(f"{what} did not come. The container's log:\n{self.log()}")
            time.sleep(0.1)

    def wait_ready(self) -> None:
        self.wait(lambda: self.ask("/api/health/ready")[0] == 200, "readiness")

    def wait_refused(self) -> None:
        self.wait(lambda: b'"retrying":false' in self.ask("/api/health/ready")[1].replace(b" ", b""), "refusal")


Start = Callable[..., Container]


@contextmanager
def launching() -> Iterator[Start]:
    """Give `launch(image, environment, options, arguments, port)`, which runs an image, locked up."""
    names: list[str] = []

    def run(
        image: str,
        environment: Mapping[str, str],
        options: Sequence[str] = (),
        arguments: Sequence[str] = (),
        port: int = 0,
    ) -> Container:
        given = [f"--env={name}={value}" for name, value in environment.items()]
        names.append(podman("run", "--detach", *LOCKED, *options, *given, image, *arguments).split()[-1])
        return Container(names[-1], port)

    try:
        yield run
    finally:
        for name in names:
            remove(name, 1)


@pytest.fixture
def launch() -> Iterator[Start]:
    with launching() as run:
        yield run


@pytest.fixture
def start(service_image: str, launch: Start) -> Start:
    """`start(environment, *options)` runs the service's image with nothing but its own command."""

    def run(environment: Mapping[str, str], options: Sequence[str] = ()) -> Container:
        port = free_port()
        return launch(service_image, {**environment, "HOST": "127.0.0.1", "PORT": str(port)}, options, (), port)

    return run


@dataclass(frozen=True)
class Stored:
    """A signed package, on this machine and in a bucket, with the pipeline that was packaged."""

    package: Path
    bucket: str
    key: SigningKey
    pipeline: Any
    client: Any
    environment: dict[str, str]

    def put(self, path: Path, name: str) -> None:
        """Write a file into the bucket, as anybody with its credentials can."""
        self.client.fput_object(self.bucket, name, str(path))

    def configuration(self, folder: Path, **changes: object) -> list[str]:
        """Return podman's options that mount the shipped configuration with the model's settings changed."""
        source = Path(__file__).parents[2] / "configuration" / "docker_rest_config.yaml"
        content = yaml.safe_load(source.read_text())
        content["models"][0]["configuration"] |= {"model_files_bucket": self.bucket, **changes}
        path = folder / "rest_config.yaml"
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o644)
        return ["--volume", f"{path}:/etc/service/rest_config.yaml:ro"]


@pytest.fixture(scope="session")
def signed(trained_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SigningKey]:
    """The signed package of a small model, and the key."""
    key, folder = SigningKey.generate(), tmp_path_factory.mktemp("packages")
    files = trained_model.files
    return package_parameters(files, folder, key=key, parameters_version=PARAMETERS_VERSION, serial=1), key


@pytest.fixture
def stored(signed: tuple[Path, SigningKey], trained_model: TrainedModel, s3_server: Any, s3_bucket: str) -> Stored:
    """The package in a bucket of its own."""
    package, key = signed
    environment = {
        "MODEL_PARAMETERS_VERSION": PARAMETERS_VERSION,
        "PARAMETERS_VERIFICATION_KEYS": str(key.verification_key),
        "MINIO_URL": s3_server.url,
        "MINIO_ACCESS_KEY": s3_server.access_key,
        "MINIO_SECRET_KEY": s3_server.secret_key,
    }
    result = Stored(package, s3_bucket, key, trained_model.pipeline, s3_server.settings.client(), environment)
    for path in (package, package.with_name(package.name + ENVELOPE_SUFFIX)):
        result.put(path, path.name)
    return result
