"""kubernetes/promotion: the command of its Deployment, run as it says, commits over SSH, to a host that is pinned."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from diabetes_risk_model.promotion.heartbeat import LIMIT_SECONDS
from diabetes_risk_model.promotion.settings import load_settings
from signed_parameters.child_process import ChildProcess
from tests.diabetes_risk_model.promotion.conftest import World, make_world, over_ssh, registry_server, sshd, world
from tests.kubernetes.cluster import NotStarted, Places, arguments, entry_point, environment, mounted
from tests.kubernetes.manifests import FOLDER, Manifest, Manifests, build
from tests.kubernetes.pod_security import violations
from tests.kubernetes.promoted import TEAM, settings, write_settings
from tests.kubernetes.test_registry import certificate
from tests.ssh_server import SshServer

__all__ = ["make_world", "over_ssh", "registry_server", "sshd", "world"]

RELEASES = ["1.37", "1.33", "1.30"]
NAMESPACE = "diabetes-promotion"
SECONDS = 90.0
SECRETS = {
    "promotion-registry": ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"],
    "promotion-storage": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
}


def rendered() -> Manifests:
    """Return what the team has in the watcher's namespace."""
    return Manifests(item for item in build(TEAM) if item["metadata"].get("namespace") == NAMESPACE)


def given(access_key: str = "somebody", secret_key: str = "something") -> dict[str, dict[str, str]]:
    kept = {name: dict.fromkeys(keys, "anything") for name, keys in SECRETS.items()}
    kept["promotion-storage"] = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    return kept


@dataclass
class Watching:
    """The watcher's container on this machine."""

    world: World
    container: Manifest
    places: Places
    variables: dict[str, str]
    process: ChildProcess

    def probe(self, name: str) -> int:
        """Run a probe's command beside the watcher; return its status."""
        _, *command = self.container[name]["exec"]["command"]
        whole = [entry_point(self.container["image"])[0], *command]
        return subprocess.run(whole, env=self.variables, capture_output=True, timeout=60, check=False).returncode

    def says(self, pattern: str) -> bool:
        return self.process.wait_for_line(pattern, SECONDS) is not None


@pytest.fixture
def prepare(over_ssh: World, sshd: SshServer, tmp_path: Path) -> Iterator[Callable[[str | None], Watching]]:
    """`prepare(known_hosts)` makes the container; None leaves the file of the team as it is."""
    made = []

    def make(known_hosts: str | None) -> Watching:
        objects, storage = rendered(), over_ssh.server.storage
        pod = objects.pod("promotion")
        (container,) = pod.containers
        certificate(tmp_path, "localhost")
        authority = {"ca.crt": (tmp_path / "tls.crt").read_text()}
        objects.append({"kind": "ConfigMap", "metadata": {"name": "registry-authority"}, "data": authority})
        files = mounted(objects, pod, container)
        if known_hosts is not None:
            files[Path("/etc/promotion/known_hosts")] = known_hosts
        places = Places(container, tmp_path / "pod")
        places.write(files)
        Path(places.here("/etc/promotion/promotion.yaml")).write_bytes(write_settings(over_ssh))
        shutil.copy(sshd.user_key, places.here("/etc/promotion-ssh/id_ed25519"))
        variables = environment(objects, container, given(storage.access_key, storage.secret_key), NAMESPACE)
        assert variables["AWS_ENDPOINT_URL"] == settings()["stages"]["staging"]["minio_url"]
        variables |= {"AWS_ENDPOINT_URL": storage.url, "PATH": os.environ["PATH"]}
        variables = {name: places.here(value) for name, value in variables.items()}
        command = [*entry_point(container["image"]), *map(places.here, arguments(container, variables))]
        process = ChildProcess(command, variables, folder=Path(places.here("/tmp")))
        made.append(process)
        return Watching(over_ssh, container, places, variables, process)

    yield make
    for process in made:
        process.stop()


def test_the_watcher_commits_over_ssh_and_its_probes_tell_that_it_lives(
    prepare: Callable[[str | None], Watching], sshd: SshServer
) -> None:
    watching = prepare(sshd.known_hosts().read_text())
    world = watching.world
    world.alias("staging", world.register(1))
    assert watching.probe("startupProbe") == 1
    watching.process.start()
    assert watching.says("^staging: promoted version 1"), watching.process.log()
    assert world.commits()[0].startswith("Promote staging")
    assert world.tag("1").startswith("deployed: serial 1")
    heartbeat = Path(watching.variables["PROMOTION_HEARTBEAT"])
    while not heartbeat.exists():
        assert watching.process.running
    assert watching.probe("startupProbe") == 0
    long_ago = heartbeat.stat().st_mtime - 2 * LIMIT_SECONDS
    os.utime(heartbeat, (long_ago, long_ago))
    assert watching.probe("livenessProbe") == 1


def test_the_file_of_known_hosts_as_it_is_here_lets_nothing_be_committed(
    prepare: Callable[[str | None], Watching],
) -> None:
    shipped = (TEAM / "promotion" / "known_hosts").read_text()
    assert all(line.startswith("#") for line in shipped.splitlines())
    watching = prepare(None)
    world = watching.world
    world.alias("staging", world.register(1))
    head = world.head()
    watching.process.start()
    assert watching.says("failed: AccessDenied: .* is not known"), watching.process.log()
    assert world.head() == head
    assert world.tag("1") == ""
    assert Path(watching.places.here("/etc/promotion/known_hosts")).read_text() == shipped


def test_a_group_may_read_the_key_and_ssh_takes_it(sshd: SshServer, tmp_path: Path) -> None:
    """The kubelet leaves a Secret's file to root, and lets the group of fsGroup read it: 0400 becomes 0440."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of others")
    spec = rendered().pod("promotion").spec
    (volume,) = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    assert volume["defaultMode"] == 0o400
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    nobody = 65534  # has a name everywhere, as the image's user has one there
    place = Path(tmp_path.anchor, "tmp", f"{tmp_path.parent.name}-{os.getpid()}")
    place.mkdir(mode=0o755)
    try:
        key = Path(shutil.copy(sshd.user_key, place / "id_ed25519"))

        def reads(owner: int, mode: int) -> int:
            os.chown(key, owner, nobody)
            key.chmod(mode)
            command = ["ssh-keygen", "-y", "-P", "", "-f", str(key)]
            ran = subprocess.run(command, user=nobody, group=nobody, capture_output=True, timeout=60, check=False)
            return ran.returncode

        assert reads(0, 0o440) == 0
        assert reads(0, 0o400) != 0, "without fsGroup nobody but root could read it"
        assert reads(nobody, 0o440) != 0, "a file of its own that others may read is refused"
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize(("secret", "key"), [(secret, key) for secret, keys in SECRETS.items() for key in keys])
def test_the_pod_does_not_start_without_its_credentials(secret: str, key: str) -> None:
    objects, kept = rendered(), given()
    (container,) = objects.pod("promotion").containers
    assert environment(objects, container, kept, NAMESPACE)
    del kept[secret][key]
    with pytest.raises(NotStarted, match=key):
        environment(objects, container, kept, NAMESPACE)


def test_the_settings_can_be_read_and_lead_to_what_the_manifests_make() -> None:
    read = load_settings(TEAM / "promotion" / "promotion.yaml")
    objects = build(TEAM)
    namespaces = {item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"}
    assert {stage.namespace for stage in read.stages.values()} <= namespaces
    assert not read.registry_is_local
    service = objects.find("Service", "registry")
    port = service["spec"]["ports"][0]["port"]
    assert read.registry == f"https://registry.{service['metadata']['namespace']}.svc:{port}"
    variables = environment(objects, objects.pod("registry").containers[0], _registry(), "diabetes-analysts")
    (allowed,) = arguments({"args": [variables["MLFLOW_SERVER_ALLOWED_HOSTS"]]}, variables)
    assert read.registry.removeprefix("https://") in allowed.split(",")
    folder = FOLDER.parent / "deployments" / read.model / "staging"
    assert Path(os.path.normpath(folder / read.base)) == FOLDER / "promotion" / "stage"


def _registry() -> dict[str, dict[str, str]]:
    names = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
    return {
        "registry-admin": dict.fromkeys(names, "anything"),
        "registry-storage": dict.fromkeys(SECRETS["promotion-storage"], "anything"),
    }


@pytest.mark.parametrize("release", RELEASES)
def test_every_object_fits_the_schema_of_the_release(release: str) -> None:
    for name in ("promotion", "promotion/stage"):
        for item in build(FOLDER / name):
            assert kubernetes_validate.validate(item, release, strict=True) == release


def test_the_pod_is_restricted_and_asks_ssh_for_nothing() -> None:
    pod = rendered().pod("promotion")
    assert violations(pod.template) == []
    (container,) = pod.containers
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    command = environment(rendered(), container, given(), NAMESPACE)["GIT_SSH_COMMAND"]
    for option in (
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "GlobalKnownHostsFile=/dev/null",
    ):
        assert f"-o {option}" in command
    for line in ("UserKnownHostsFile=/etc/promotion/known_hosts", "-i /etc/promotion-ssh/id_ed25519"):
        assert line in command
