"""What is in the images, and what is not: in their file systems, in each of their layers, and in their history."""

import json
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.image import BASELINE_MEGABYTES, LIMIT_MEGABYTES, exported, report, size_of
from tests.container.conftest import image_named
from tests.container.contents import findings, holds_secret

ROOT = Path(__file__).parents[2]
IMAGES = ("service_image", "initializer_image", "promotion_image", "registry_image", "batch_image")
LOCKS = {name: name for name in ("initializer", "promotion", "registry", "batch")}


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def _inspected(image: str) -> dict[str, Any]:
    done = subprocess.run(["podman", "image", "inspect", image], capture_output=True, check=True)
    (description,) = json.loads(done.stdout)
    assert isinstance(description, dict)
    return description


def test_nothing_is_in_it_that_must_not_be(image: str) -> None:
    with exported(image) as archive:
        assert list(findings(archive)) == []


def test_the_base_does_hold_what_is_taken_away() -> None:
    with exported(image_named("TEST_BASE_IMAGE")) as archive:
        assert {"setuid", "installer"} <= {finding.partition(":")[0] for finding in findings(archive)}


def test_no_layer_holds_a_secret_or_parameters(image: str, tmp_path: Path) -> None:
    saved = tmp_path / "image.tar"
    subprocess.run(
        ["podman", "save", "--format", "docker-archive", "--output", saved, image], capture_output=True, check=True
    )
    found, layers = [], 0
    with tarfile.open(saved) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.name.endswith(".json"):  # the configuration, with environment and history
                assert not holds_secret(content.read())
            elif member.name.endswith(".tar"):
                layers += 1
                with tarfile.open(fileobj=content) as layer:
                    found += [one for one in findings(layer) if one.startswith(("secret", "parameters"))]
    assert layers > 1
    assert found == []


def test_it_says_what_it_is_and_runs_as_nobody(image: str) -> None:
    description = _inspected(image)
    labels = description["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.version"] == project["version"]
    assert labels[f"{prefix}.licenses"] == project["license"]
    assert {f"{prefix}.{name}" for name in ("title", "description", "revision")} <= set(labels)
    assert description["Config"]["User"] == "10001:10001"
    assert "/bin/sh" not in json.dumps(description["Config"].get("Cmd", []))


def test_the_service_is_small(service_image: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{report(service_image)}")
    assert size_of(service_image) < LIMIT_MEGABYTES < BASELINE_MEGABYTES


def test_what_is_installed_is_what_was_locked(image: str) -> None:
    title = _inspected(image)["Labels"]["org.opencontainers.image.title"]
    lock = f"{LOCKS.get(title.rpartition('-')[2], 'service')}_requirements.txt"
    lines = (ROOT / lock).read_text().splitlines()
    locked = {_normal(line.split(" ")[0].replace("==", "-")) for line in lines if "==" in line}
    with exported(image) as archive:
        installed = {
            _normal(Path(file.name).name.removesuffix(".dist-info"))
            for file in archive
            if file.isdir() and file.name.endswith(".dist-info") and "/packages/" in file.name
        }
    assert installed == locked


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
