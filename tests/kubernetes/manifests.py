"""The manifests as kustomize renders them, and what tests ask of them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "kubernetes"
NAMESPACE = "model-services"
KUSTOMIZATIONS = {
    "base": FOLDER / "base",
    "minikube": FOLDER / "overlays" / "minikube",
    "gke": FOLDER / "overlays" / "gke",
}
_TIMEOUT = 60
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|Ki|Mi|Gi|Ti|k|M|G|T)?")
_FACTORS: dict[str | None, int | Decimal] = {
    None: 1,
    "m": Decimal("0.001"),
    **{f"{letter}i": 1024**power for power, letter in enumerate("KMGT", 1)},
    **{letter: 1000**power for power, letter in enumerate("kMGT", 1)},
}
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """The pods of one workload: its name, and the template that they are made of."""

    name: str
    template: Manifest

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.template["metadata"]["labels"])

    @property
    def spec(self) -> Manifest:
        return dict(self.template["spec"])

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


class Manifests(list[Manifest]):
    """The objects of one rendering."""

    def find(self, kind: str, name: str) -> Manifest:
        """Return the only object of a kind and name. Generated names are found without their digest."""
        digest = r"(-[a-z0-9]{10})?" if kind == "ConfigMap" else ""
        pattern = re.compile(re.escape(name) + digest)
        (found,) = [item for item in self if item["kind"] == kind and pattern.fullmatch(item["metadata"]["name"])]
        return found

    def pods(self) -> Iterator[Pod]:
        """Yield what makes pods."""
        for item in self:
            template = item.get("spec", {}).get("template")
            if template is not None and "containers" in template["spec"]:  # an ApplicationSet's has none
                yield Pod(item["metadata"]["name"], template)

    def pod(self, name: str) -> Pod:
        """Return the pods of the workload of this name."""
        (found,) = [pod for pod in self.pods() if pod.name == name]
        return found

    def kinds(self) -> list[tuple[str, str]]:
        """Return kind and name of each object."""
        return [(item["kind"], item["metadata"]["name"]) for item in self]


def read(text: str) -> Manifests:
    """Read objects from YAML."""
    return Manifests(item for item in yaml.safe_load_all(text) if item)


@cache
def _kustomize() -> tuple[str, ...]:
    if kustomize := os.environ.get("KUSTOMIZE") or shutil.which("kustomize"):
        return kustomize, "build"
    if kubectl := shutil.which("kubectl"):
        done = subprocess.run([kubectl, "version", "--client", "--output=json"], capture_output=True, timeout=_TIMEOUT)
        version = json.loads(done.stdout).get("kustomizeVersion", "") if done.returncode == 0 else ""
        if version.startswith("v5"):
            return kubectl, "kustomize"
    pytest.skip("there is no kustomize 5 here (KUSTOMIZE, or on the PATH, or in kubectl)")


@cache
def _built(folder: Path) -> str:
    done = subprocess.run([*_kustomize(), str(folder)], capture_output=True, text=True, timeout=_TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return done.stdout


def build(folder: Path) -> Manifests:
    """Render a kustomization, or skip the test where there is no kustomize. Each call returns objects of its own."""
    return read(_built(folder))


def rendered(name: str) -> Manifests:
    """Render base, minikube or gke."""
    return build(KUSTOMIZATIONS[name])


def quantity(text: str) -> Decimal:
    """Return what a quantity such as 250m or 128Mi amounts to, in cores or bytes.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return Decimal(match[1]) * _FACTORS[match[2]]


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Return whether a label selector selects these labels. An empty one selects all."""
    pairs: dict[str, str] = selector.get("matchLabels", {})
    if any(labels.get(name) != value for name, value in pairs.items()):
        return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] in ("In", "NotIn"), "no other operator is used"
        listed = labels.get(expression["key"]) in expression["values"]
        if listed != (expression["operator"] == "In"):
            return False
    return True
