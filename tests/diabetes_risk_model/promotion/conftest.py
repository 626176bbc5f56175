"""MLflow and an S3 server, both real, and for each test a world of its own in them: a model, a repository, keys."""

import json
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from diabetes_risk_model.promotion import tags
from diabetes_risk_model.promotion.local_registry import LocalRegistry
from diabetes_risk_model.promotion.policies import dump
from diabetes_risk_model.promotion.record import Record
from diabetes_risk_model.promotion.registry import Registry, open_registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.settings import PromotionSettings, load_settings
from diabetes_risk_model.promotion.tracking import store
from diabetes_risk_model.promotion.watcher import Outcome, Watcher
from signed_parameters import SigningKey, Statement, build_package, sign_package
from signed_parameters.statement import ENVELOPE_SUFFIX
from signed_parameters.storage import open_storage
from signed_parameters.verification import read_envelope
from tests.ssh_server import SshServer

ROOT = Path(__file__).parents[3]
GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{role}_NAME": "Reviewer" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "reviewer@example.org" for role in ("AUTHOR", "COMMITTER")},
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return what it says."""
    environment = {**GIT, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class World:
    """A model in the registry, its packages, its repository, and those who sign."""

    folder: Path
    server: LocalRegistry
    model: str
    analyst: SigningKey
    approver: SigningKey
    remote: str = ""
    repositories: list[Repository] = field(default_factory=list)

    @property
    def bare(self) -> Path:
        return self.folder / "deployments.git"

    @property
    def address(self) -> str:
        """The repository as the watcher reaches it: by its path, unless a test says another way."""
        return self.remote or str(self.bare)

    @property
    def config(self) -> Path:
        return self.folder / "promotion.yaml"

    @property
    def settings(self) -> PromotionSettings:
        return load_settings(self.config)

    def reach_over_ssh(self, server: SshServer) -> None:
        """Let the watcher reach the repository by a server; GIT_SSH_COMMAND has to lead there too."""
        self.remote = server.address(self.bare)
        self.write_settings()

    def write_settings(self) -> None:
        stages = {
            stage: {
                "namespace": f"diabetes-{stage}",
                "bucket": f"s3://{stage}-files/{self.model}",
                "minio_url": self.server.storage.url,
                "mounted": str(self.folder / "mounted" / stage),
            }
            for stage in ("staging", "production")
        }
        packages = f"s3://model-packages/{self.model}"
        fields: dict[str, Any] = {"registry": self.server.url, "packages": packages, "repository": self.address}
        fields |= {"model": self.model, "stages": stages}
        self.config.write_bytes(dump(fields))

    def make_repository(self) -> None:
        work = self.folder / "work"
        work.mkdir()
        git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(work, "init", "--quiet", "--initial-branch=main")
        git(work, "remote", "add", "origin", str(self.bare))
        shutil.copytree(ROOT / "configuration", work / "configuration")
        shutil.copytree(ROOT / "kubernetes" / "base", work / "kubernetes" / "base")
        self.policy("staging")
        self.policy("production", threshold=2)

    def policy(self, stage: str, **changes: Any) -> None:
        """Commit a stage's policy, as after a review."""
        keys: list[Any] = [str(key.verification_key) for key in (self.analyst, self.approver)]
        fields = {"name": self.model, "keys": keys, **changes}
        self.review(f"policies/{stage}.yaml", dump(fields), f"Policy of {stage}: {sorted(changes)}")

    def review(self, path: str, content: bytes, message: str) -> None:
        """Commit a file, as a person does."""
        self.pull()
        file = self.folder / "work" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.push(message)

    def pull(self) -> None:
        """Bring the person's clone, `work`, up to date."""
        if git(self.bare, "for-each-ref"):
            git(self.folder / "work", "pull", "--quiet", "--ff-only", "origin", "main")

    def push(self, message: str) -> None:
        """Commit all that has changed in the person's clone."""
        work = self.folder / "work"
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-m", message)
        git(work, "push", "--quiet", "origin", "HEAD:main")

    def tree(self) -> str:
        """Return what the branch has, as one id."""
        return git(self.bare, "rev-parse", "main^{tree}").strip()

    def ask(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Ask MLflow itself."""
        body, headers = json.dumps({"name": self.model, **fields}).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.server.url}/api/2.0/mlflow/{path}", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def register(
        self,
        serial: int,
        *,
        version: str = "",
        lies: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> str:
        """Sign and register a package, a small one unless its files are given; return the version's number."""
        file = self.folder / "parameters.bin"
        file.write_bytes(f"parameters{serial}{version}".encode())
        version = version or f"2026_{serial:04}"
        files = files or {"parameters.bin": file}
        package = build_package(self.folder / f"{self.model}-0.1.0-{version}.zip", files=files)
        sign_package(
            package, key=self.analyst, name=self.model, version="0.1.0", parameters_version=version, serial=serial
        )
        store(open_storage(self.settings.packages), package)
        statement = Statement.from_payload(
            read_envelope(open_storage(self.settings.packages), package.name, 1 << 20).payload
        )
        described = tags.describe(f"{self.settings.packages}/{package.name}", statement, self.analyst.key_id)
        return self.create_version({**described, **(lies or {})})

    def create_version(self, described: Mapping[str, str]) -> str:
        fields = {
            "source": "s3://elsewhere/model",
            "tags": [{"key": key, "value": value} for key, value in described.items()],
        }
        return str(self.ask("model-versions/create", fields)["model_version"]["version"])

    def statement(self, serial: int) -> Statement:
        storage = open_storage(self.settings.packages)
        return Statement.from_payload(read_envelope(storage, self.package_name(serial), 1 << 20).payload)

    def package_name(self, serial: int) -> str:
        return f"{self.model}-0.1.0-2026_{serial:04}.zip"

    def registry(self) -> Registry:
        return open_registry(self.settings.registry, self.model, local=True)

    def repository(self) -> Repository:
        repository = Repository(self.address, "main")
        self.repositories.append(repository)
        return repository

    def watcher(self) -> Watcher:
        return Watcher(self.settings, self.registry(), self.repository(), pause_seconds=0.01)

    def once(self, stage: str = "staging") -> Outcome:
        """Let a new watcher look once; return what became of a stage."""
        (found,) = [outcome for outcome in self.watcher().once() if outcome.stage == stage]
        return found

    def alias(self, stage: str, number: str) -> None:
        """Set an alias as anybody with access to the registry can."""
        self.ask("registered-models/alias", {"alias": stage, "version": number})

    def tag(self, number: str, stage: str = "staging") -> str:
        return self.registry().version(number).tags.get(tags.state_tag(stage), "")

    def commits(self) -> list[str]:
        """Return the subjects of the branch's commits, the newest first."""
        return git(self.bare, "log", "--format=%s", "main").splitlines()

    def head(self) -> str:
        return git(self.bare, "rev-parse", "main").strip()

    def deployed(self, stage: str = "staging") -> dict[str, str]:
        """Return the files of a stage, by name."""
        folder = f"deployments/{self.model}/{stage}/"
        names = git(self.bare, "ls-tree", "--name-only", "main", folder).split()
        return {name.removeprefix(folder): git(self.bare, "show", f"main:{name}") for name in names}

    def record(self, stage: str = "staging") -> Record:
        return Record.from_bytes(self.deployed(stage)["promoted.yaml"].encode(), "promoted.yaml")

    def tamper(self, serial: int) -> None:
        """Change a byte of a package in the storage."""
        storage, name = open_storage(self.settings.packages), self.package_name(serial)
        data = bytearray(storage.read(name, 1 << 20))
        data[len(data) // 2] ^= 1
        storage.write_bytes(name, bytes(data), overwrite=True)

    def remove(self, name: str) -> None:
        """Take an object of the packages away."""
        self.server.storage.client().remove_object("model-packages", f"{self.model}/{name}")

    def remove_envelope(self, serial: int) -> None:
        self.remove(self.package_name(serial) + ENVELOPE_SUFFIX)


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """MLflow and an S3 server, for all tests of this session."""
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    if shutil.which("git") is None:
        pytest.skip("there is no git on this machine")
    with LocalRegistry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def make_world(
    tmp_path: Path, registry_server: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., World]]:
    """`make_world(model=...)` makes a model, its repository and its policies."""
    for name, value in registry_server.storage.environment().items():
        monkeypatch.setenv(name, value)
    analyst, approver, worlds = SigningKey.generate(), SigningKey.generate(), []

    def make(model: str = "", *, registered: bool = True) -> World:
        model = model or f"m{secrets.token_hex(6)}"
        folder = tmp_path / model
        folder.mkdir()
        world = World(folder, registry_server, model, analyst, approver)
        worlds.append(world)
        world.write_settings()
        world.make_repository()
        if registered:
            world.ask("registered-models/create", {})
        return world

    yield make
    for world in worlds:
        for repository in world.repositories:
            repository.__exit__(None, None, None)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with SshServer(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


@pytest.fixture
def over_ssh(world: World, sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose watcher reaches the repository over SSH, with the right key and the right host."""
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command())
    world.reach_over_ssh(sshd)
    return world
