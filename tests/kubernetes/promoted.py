"""The settings of a team's watcher, and a world of tests that they are made for."""

from typing import Any

import yaml

from diabetes_risk_model.promotion.policies import dump
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
