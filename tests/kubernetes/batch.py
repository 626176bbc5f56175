"""An overlay with the components of batch scoring, as the documents say it is made, and its pods."""

import shutil
from pathlib import Path

from tests.kubernetes.dask_operator import made_of
from tests.kubernetes.manifests import ROOT, Manifest, Manifests, Pod, build

SCORE, DRIFT, JOB = "score", "drift", "score-large-runner"
SCHEDULER, WORKER = "score-large-scheduler", "score-large-default-worker-0a1b2c3d4e"
COMPONENTS = "components:\n  - ../../batch\n  - ../../batch/dask\n"


def with_batch(folder: Path) -> Manifests:
    """Render the overlay for minikube with the components, in a copy in an empty folder."""
    for name in ("kubernetes", "configuration"):
        shutil.copytree(ROOT / name, folder / name)
    overlay = folder / "kubernetes" / "overlays" / "minikube"
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write(COMPONENTS)
    return build(overlay)


def with_made(objects: Manifests) -> Manifests:
    """Return the objects, and what Dask's operator makes of its own."""
    return Manifests([*objects, *(made for item in objects if item["kind"] == "DaskJob" for made in made_of(item))])


def pods(objects: Manifests) -> dict[str, Pod]:
    """Return the pods of batch scoring by the names of their workloads."""
    found = {}
    for item in objects:
        template: Manifest | None = item.get("spec", {}).get("template")
        if item["kind"] == "Pod":
            template = item
        elif item["kind"] == "CronJob":
            template = item["spec"]["jobTemplate"]["spec"]["template"]
        if template is not None and item["metadata"]["name"] in (SCORE, DRIFT, JOB, SCHEDULER, WORKER):
            found[item["metadata"]["name"]] = Pod(item["metadata"]["name"], template)
    assert len(found) == 5
    return found
