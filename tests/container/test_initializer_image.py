"""The initializer's image, run for real, as a model server's init container: it fills a folder, or leaves it empty."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from signed_parameters import SigningKey
from tests.container.conftest import LOCKED

MODEL_NAME = "diabetes_risk_model"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder that the model server loads from. The container's user is not this one, so all may write."""
    folder = tmp_path / "models"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def _initialize(image: str, stored: Any, key: str, models: Path) -> "subprocess.CompletedProcess[str]":
    policy = models.parent / "policy.yaml"
    policy.write_text(f"name: {MODEL_NAME}\nkeys:\n  - {key}\n")
    policy.chmod(0o644)
    environment = {
        "AWS_ENDPOINT_URL": stored.environment["MINIO_URL"],
        "AWS_ACCESS_KEY_ID": stored.environment["MINIO_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": stored.environment["MINIO_SECRET_KEY"],
        "SIGNED_PARAMETERS_POLICY": "/etc/policy/policy.yaml",
    }
    mounts = [f"--volume={policy}:/etc/policy/policy.yaml:ro", f"--volume={models}:/mnt/models"]
    variables = [f"--env={name}={value}" for name, value in environment.items()]
    source = f"s3://{stored.bucket}/{stored.package.name}"
    command = ["podman", "run", "--rm", *LOCKED, *mounts, *variables, image, source, "/mnt/models"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_fills_the_folder(initializer_image: str, stored: Any, models: Path) -> None:
    done = _initialize(initializer_image, stored, str(stored.key.verification_key), models)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in models.iterdir()} >= {"model.pkl", "model.onnx", "manifest.json"}


def test_a_tampered_package_leaves_the_folder_empty(
    initializer_image: str, stored: Any, models: Path, tmp_path: Path
) -> None:
    changed = bytearray(stored.package.read_bytes())
    changed[-1] ^= 1
    (tmp_path / "forged.zip").write_bytes(changed)
    stored.put(tmp_path / "forged.zip", stored.package.name)
    done = _initialize(initializer_image, stored, str(stored.key.verification_key), models)
    assert done.returncode == 1
    assert "DigestMismatch" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(models.iterdir()) == []


def test_a_strangers_key_leaves_the_folder_empty(initializer_image: str, stored: Any, models: Path) -> None:
    done = _initialize(initializer_image, stored, str(SigningKey.generate().verification_key), models)
    assert done.returncode == 1
    assert "UnknownKey" in done.stderr
    assert list(models.iterdir()) == []
