"""Measure a look of the watcher's that finds nothing new, in one run: `python -m benchmarks.polling`.

MLflow, an S3 server and a bare Git repository run on this machine. A model is registered, with as many versions as are
asked for, and its first one promoted to staging and production. Then every look asks the registry and Git, and finds
both as they were. The baseline is one request to the same MLflow: what it takes to ask it for nothing but its health.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import signed_parameters as sp
from benchmarks.services import ROOT
from diabetes_risk_model.progress import step
from diabetes_risk_model.promotion import tags
from diabetes_risk_model.promotion.local_registry import LocalRegistry
from diabetes_risk_model.promotion.policies import dump
from diabetes_risk_model.promotion.registry import open_registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.settings import load_settings
from diabetes_risk_model.promotion.tracking import store
from diabetes_risk_model.promotion.watcher import PROMOTED, UNCHANGED, Watcher
from signed_parameters.storage import open_storage
from signed_parameters.strict_yaml import Value
from signed_parameters.verification import find_trusted

MODEL = "diabetes_risk_model"
STAGES = ("staging", "production")
MOST_SECONDS = 1.0


class _World:
    """A model in a registry, its packages and its repository, in a folder."""

    def __init__(self, folder: Path, server: LocalRegistry) -> None:
        self._folder, self._server = folder, server
        self._key = sp.SigningKey.generate()
        self.bare = folder / "deployments.git"
        self.config = folder / "promotion.yaml"
        stages: dict[str, Value] = {
            stage: {
                "namespace": f"diabetes-{stage}",
                "bucket": f"s3://{stage}-files",
                "minio_url": server.storage.url,
            }
            for stage in STAGES
        }
        addresses = {"registry": server.url, "packages": "s3://model-packages", "repository": str(self.bare)}
        self.config.write_bytes(dump({**addresses, "model": MODEL, "stages": stages}))

    def make_repository(self) -> None:
        """Commit what people write: policies, configuration, manifests."""
        work = self._folder / "work"
        for folder in ("configuration", "kubernetes/base"):
            shutil.copytree(ROOT / folder, work / folder)
        (work / "policies").mkdir()
        for stage in STAGES:
            policy: dict[str, Value] = {"name": MODEL, "keys": [str(self._key.verification_key)]}
            (work / "policies" / f"{stage}.yaml").write_bytes(dump(policy))
        _git(self._folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        _git(work, "init", "--quiet", "--initial-branch=main")
        _git(work, "add", ".")
        _git(work, "commit", "--quiet", "--message", "What people write")
        _git(work, "push", "--quiet", str(self.bare), "HEAD:main")

    def register(self, versions: int, told: Callable[[str], None]) -> None:
        """Sign a package, and register it as so many versions; both aliases mean the first."""
        content = self._folder / "parameters.bin"
        content.write_bytes(b"parameters")
        package = sp.build_package(self._folder / f"{MODEL}-0.1.0-1.zip", files={"parameters.bin": content})
        sp.sign_package(package, key=self._key, name=MODEL, version="0.1.0", parameters_version="1", serial=1)
        store(open_storage("s3://model-packages"), package)
        uri = f"s3://model-packages/{package.name}"
        trusted = find_trusted(uri, sp.TrustPolicy(name=MODEL, keys=[self._key.verification_key]))
        described = tags.describe(uri, trusted.statement, self._key.key_id)
        listed = [{"key": key, "value": value} for key, value in described.items()]
        self._ask("registered-models/create", {"name": MODEL})
        for number in range(1, versions + 1):
            if number % 50 == 0:
                told(f"{number} of {versions}")
            self._ask("model-versions/create", {"name": MODEL, "source": "s3://elsewhere/model", "tags": listed})
        for stage in STAGES:
            self._ask("registered-models/alias", {"name": MODEL, "alias": stage, "version": "1"})

    def _ask(self, path: str, fields: Mapping[str, Any]) -> None:
        body, headers = json.dumps(fields).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._server.url}/api/2.0/mlflow/{path}", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org")
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def measure(folder: Path, versions: int, looks: int) -> dict[str, list[float]]:
    """Return the seconds of each look, and of each request for MLflow's health.

    Raises:
        RuntimeError: a look found something new.
    """
    with step("MLflow, S3 and Git"):
        server = LocalRegistry(folder / "servers").start()
    try:
        os.environ.update(server.storage.environment())
        world = _World(folder, server)
        world.make_repository()
        with step(f"{versions} versions") as progress:
            world.register(versions, progress.update)
        settings = load_settings(world.config)
        registry = open_registry(settings.registry, MODEL, local=True)
        with Repository(settings.repository, settings.branch) as repository:
            watcher = Watcher(settings, registry, repository)
            _expect(watcher, PROMOTED)
            times: dict[str, list[float]] = {"a look that finds nothing new": [], "one request to MLflow": []}
            looking, asking = times.values()
            for _ in range(looks):
                looking.append(_seconds(lambda: _expect(watcher, UNCHANGED)))
                asking.append(_seconds(lambda: urllib.request.urlopen(f"{server.url}/health", timeout=30).close()))
    finally:
        server.stop()
    return times


def _expect(watcher: Watcher, state: str) -> None:
    found = [outcome.state for outcome in watcher.once()]
    if found != [state] * len(STAGES):
        raise RuntimeError(f"expected that every stage is {state}; found {found}")


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> int:
    """Measure, print, and return 1 where the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polling", description=__doc__)
    parser.add_argument("--versions", type=int, default=200, help="in the registry (default: 200)")
    parser.add_argument("--looks", type=int, default=50, help="that are timed (default: 50)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder), options.versions, options.looks)
    table = Table(title=f"{options.versions} versions, {len(STAGES)} stages, {options.looks} looks")
    for heading in ("", "median (ms)", "slowest (ms)", "times the request"):
        table.add_column(heading, justify="right" if heading else "left")
    baseline = statistics.median(times["one request to MLflow"])
    for name, values in times.items():
        median = statistics.median(values)
        table.add_row(name, f"{median * 1e3:.0f}", f"{max(values) * 1e3:.0f}", f"{median / baseline:.1f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    slowest = max(times["a look that finds nothing new"])
    print(f"Target: every look under {MOST_SECONDS:g} s: {'reached' if slowest < MOST_SECONDS else 'MISSED'}.")
    return 0 if slowest < MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
