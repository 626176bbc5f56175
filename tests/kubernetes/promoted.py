"""The settings of a team's watcher, and a world of tests that they are made for."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from diabetes_risk_model.promotion.local_registry import LocalRegistry
from diabetes_risk_model.promotion.policies import dump
from diabetes_risk_model.promotion.watcher import PROMOTED
from signed_parameters import SigningKey
from tests.diabetes_risk_model.promotion.conftest import World
from tests.kubernetes.manifests import FOLDER, ROOT

TEAM = FOLDER / "teams" / "diabetes-analysts"


def settings() -> dict[str, Any]:
    """Return the settings of the team's watcher."""
    found: dict[str, Any] = yaml.safe_load((TEAM / "promotion" / "promotion.yaml").read_text())
    return found


def write_settings(world: World) -> bytes:
    """Give a world the team's settings, with the world's own addresses and model; return the file.

    What a stage builds on is committed to the world's repository.
    """
    for path in (FOLDER / "promotion" / "stage").iterdir():
        world.review(str(path.relative_to(ROOT)), path.read_bytes(), f"Add {path.name}")
    fields = settings() | {"registry": world.server.url, "packages": f"s3://model-packages/{world.model}"}
    for stage in fields["stages"].values():
        stage["bucket"] += f"/{world.model}"
    content = dump({**fields, "repository": world.address, "model": world.model})
    world.config.write_bytes(content)
    return content


@contextmanager
def promoted_world(folder: Path, server: LocalRegistry) -> Iterator[World]:
    """A world whose watcher has promoted a version to every stage, by the team's settings."""
    world = World(folder, server, f"m{secrets.token_hex(6)}", SigningKey.generate(), SigningKey.generate())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.storage.environment().items():
            patch.setenv(name, value)
        world.write_settings()
        world.make_repository()
        world.ask("registered-models/create", {})
        write_settings(world)
        number = world.register(1)
        world.policy("production")
        for stage in settings()["stages"]:
            world.alias(stage, number)
        outcomes = world.watcher().once()
        assert [outcome.state for outcome in outcomes] == [PROMOTED] * len(settings()["stages"]), outcomes
        yield world
    for repository in world.repositories:
        repository.__exit__(None, None, None)
