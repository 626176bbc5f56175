"""The images of the registry and of the watcher, run for real: from an alias to a commit over SSH, and nobody asked."""

import base64
import json
import os
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diabetes_risk_model.promotion.local_registry import BUCKETS
from signed_parameters import SigningKey
from signed_parameters.child_process import free_port
from signed_parameters.local_server import LocalS3Server
from tests.container.conftest import Container, Start, launching, podman
from tests.diabetes_risk_model.promotion.conftest import World, sshd
from tests.ssh_server import SshServer

__all__ = ["sshd"]

USER = 10001
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an SSH key has to be given to the container's group")


@dataclass
class Registry:
    """The registry's container, and the storage that it keeps its artefacts in."""

    url: str
    storage: LocalS3Server
    container: Container
    password: str = ""

    def ask(self, path: str, data: bytes | None = None, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"{self.url}/{path}", data, method=method)
        token = base64.b64encode(f"admin:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3Server]:
    folder = tmp_path_factory.mktemp("storage")
    for bucket in BUCKETS:
        (folder / bucket).mkdir()
    with LocalS3Server(folder) as server:
        yield server


def run_registry(
    launch: Start,
    image: str,
    storage: LocalS3Server,
    mounts: Sequence[str] = (),
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Container:
    """Run a registry on this machine, and wait until it answers."""
    port = free_port()
    options = ["--host=127.0.0.1", f"--port={port}", "--workers=1", "--artifacts-destination=s3://mlflow"]
    options += ["--backend-store-uri=sqlite:////tmp/mlflow.db", *arguments]
    container = launch(image, {**storage.environment(), **(variables or {})}, mounts, ["server", *options], port)
    container.wait(lambda: container.ask("/health") == (200, b"OK"), "the registry")
    return container


@pytest.fixture(scope="module")
def open_registry(registry_image: str, storage: LocalS3Server) -> Iterator[Registry]:
    """A registry without accounts, for all tests here."""
    with launching() as launch:
        container = run_registry(launch, registry_image, storage)
        yield Registry(f"http://127.0.0.1:{container.port}", storage, container)


def test_artefacts_go_to_the_storage_and_come_from_it(open_registry: Registry) -> None:
    path = "api/2.0/mlflow-artifacts/artifacts/folder/card.html"
    open_registry.ask(path, b"<p>A card</p>", "PUT")
    stored = open_registry.storage.client().get_object("mlflow", "folder/card.html")
    assert stored.read() == b"<p>A card</p>"
    stored.close()
    assert open_registry.ask(path) == b"<p>A card</p>"
    assert open_registry.container.execute("import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name)") == "registry\n"


def test_the_registry_has_no_assistant_and_cannot_be_given_one(
    open_registry: Registry, registry_image: str, launch: Start
) -> None:
    for path in ("assistant/config", "assistant/providers"):
        assert open_registry.container.ask(f"/ajax-api/3.0/mlflow/{path}")[0] == 404
    assert open_registry.container.ask("/ajax-api/3.0/mlflow/gateway/secrets/list")[0] == 501
    other = launch(registry_image, {}, (), ["server", "--uvicorn-opts=--no-access-log"])
    podman("wait", other.name)
    assert other.status("ExitCode") == "2"
    assert "Cannot specify multiple server options" in other.log()


def test_a_new_volume_is_the_registrys(registry_image: str, storage: LocalS3Server) -> None:
    # Docker gives a new volume the owner that its place has in the image; Podman would give it to the user in any case.
    question = "import os; found = os.stat('/data'); print(found.st_uid, found.st_gid, oct(found.st_mode & 0o777))"
    asked = ["run", "--rm", "--network=none", "--entrypoint=python3", registry_image, "-c", question]
    assert podman(*asked) == f"{USER} {USER} 0o700\n"
    volume = f"registry-{secrets.token_hex(6)}"
    try:
        with launching() as launch:
            database = "--backend-store-uri=sqlite:////data/mlflow.db"
            container = run_registry(launch, registry_image, storage, [f"--volume={volume}:/data"], [database])
            assert container.execute("import os; print(os.stat('/data/mlflow.db').st_uid)") == f"{USER}\n"
    finally:
        podman("volume", "rm", "--force", volume)


def test_the_registry_knows_accounts(
    launch: Start, registry_image: str, storage: LocalS3Server, tmp_path: Path
) -> None:
    password = secrets.token_hex(16)
    file = tmp_path / "accounts.ini"
    file.write_text("[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:////tmp/accounts.db\n")
    file.chmod(0o644)
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": "/etc/registry/accounts.ini",
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }
    mount = f"--volume={file}:/etc/registry/accounts.ini:ro"
    container = run_registry(launch, registry_image, storage, [mount], ["--app-name=basic-auth"], variables)
    registry = Registry(f"http://127.0.0.1:{container.port}", storage, container, password)
    question = "api/2.0/mlflow/experiments/search?max_results=1"
    assert b"experiments" in registry.ask(question)
    registry.password = secrets.token_hex(16)
    with pytest.raises(urllib.error.HTTPError) as refused:
        registry.ask(question)
    assert refused.value.code == 401
    refused.value.close()


@pytest.fixture
def world(open_registry: Registry, sshd: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A model, whose watcher is to reach the repository over SSH."""
    for name, value in open_registry.storage.environment().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "world"
    folder.mkdir()
    made: Any = open_registry
    world = World(folder, made, f"m{secrets.token_hex(6)}", SigningKey.generate(), SigningKey.generate())
    world.make_repository()
    world.reach_over_ssh(sshd)
    world.ask("registered-models/create", {})
    yield world
    for repository in world.repositories:
        repository.__exit__(None, None, None)


@pytest.fixture
def watcher(world: World, sshd: SshServer, promotion_image: str, launch: Start) -> Any:
    """`watcher(*arguments, key=..., known_hosts=...)` runs the watcher's image, as a pod would."""

    def run(*arguments: str, known_hosts: Path | None = None) -> Container:
        folder = world.folder / "secrets"
        folder.mkdir()
        for source, name in ((sshd.user_key, "key"), (known_hosts or sshd.known_hosts(), "known_hosts")):
            path = Path(shutil.copy(source, folder / name))
            os.chown(path, 0, USER)
            path.chmod(0o440)
        for path in (folder, world.config):
            path.chmod(0o755)
        command = "ssh -i /etc/ssh-key/key -o IdentitiesOnly=yes -o UserKnownHostsFile=/etc/ssh-key/known_hosts"
        environment = {
            **world.server.storage.environment(),
            "GIT_SSH_COMMAND": command,
            "PROMOTION_HEARTBEAT": "/tmp/heartbeat",
        }
        mounts = [f"--volume={folder}:/etc/ssh-key:ro", f"--volume={world.config}:/etc/promotion/promotion.yaml:ro"]
        return launch(promotion_image, environment, mounts, arguments)

    return run


def alive(container: Container) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        podman("exec", container.name, "python3", "-m", "diabetes_risk_model.promotion", "alive", "--json", check=False)
    )
    return answer


def test_it_watches_commits_over_ssh_and_shows_that_it_lives(world: World, watcher: Any) -> None:
    number = world.register(1)
    world.alias("staging", number)
    container = watcher("watch", "--interval", "1")
    container.wait(lambda: alive(container).get("seconds_since_last_round") is not None, "the first round's end")
    assert f"staging: promoted version {number}: deployed: serial 1" in container.log()
    assert world.commits()[0].startswith("Promote staging")
    assert world.tag(number).startswith("deployed: serial 1")
    tampered = world.register(2)
    world.tamper(2)
    head = world.head()
    world.alias("staging", tampered)
    container.wait(lambda: f"refused version {tampered}: DigestMismatch" in container.log(), "the refusal")
    assert world.head() == head
    podman("stop", "--time", "20", container.name)
    assert container.status("ExitCode") == "143"


def test_a_host_that_is_not_pinned_gets_nothing(world: World, watcher: Any, tmp_path: Path) -> None:
    nobody = tmp_path / "known_hosts"
    nobody.touch()
    number, head = world.register(1), world.head()
    world.alias("staging", number)
    container = watcher("once", known_hosts=nobody)
    podman("wait", container.name)
    assert container.status("ExitCode") == "3"
    assert "AccessDenied: the host of the repository" in container.log()
    assert "Traceback" not in container.log()
    assert world.head() == head


def test_it_checks_a_commit_and_says_what_it_cannot_do(
    world: World, sshd: SshServer, watcher: Any, promotion_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command())
    world.alias("staging", world.register(1))
    assert world.once().state == "promoted"
    container = watcher("check")
    podman("wait", container.name)
    assert container.status("ExitCode") == "0", container.log()
    assert "staging: good: serial 1" in container.log()
    command = ["run", "--rm", "--network=none", promotion_image, "register", "/tmp/trained", "--key", "/tmp/none.json"]
    done = subprocess.run(["podman", *command], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "Run this where the model was trained." in done.stderr) == (2, True), done.stderr
