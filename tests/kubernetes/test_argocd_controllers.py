"""kubernetes/argocd with Argo CD's own controllers: what the watcher commits reaches the cluster, and nothing else.

The registry, the storage, Git over SSH, the API server and Argo CD are real. There are no nodes: the tests say
themselves that a pod runs, as its node would.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from diabetes_risk_model.promotion.local_registry import LocalRegistry
from tests.diabetes_risk_model.promotion.conftest import World, git, registry_server
from tests.kubernetes.api_server import ApiServer, Refused
from tests.kubernetes.argo_cd import ArgoCd
from tests.kubernetes.manifests import FOLDER, Manifest, build
from tests.kubernetes.promoted import promoted_world, settings
from tests.ssh_server import SshServer

__all__ = ["registry_server"]

SECONDS = 180.0
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
SET = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/promoted"
MERGE = "application/merge-patch+json"


@dataclass
class Stand:
    """A cluster, its Argo CD, and a world whose repository that follows."""

    cluster: ApiServer
    argo_cd: ArgoCd
    world: World
    url: str

    def manifest(self, name: str) -> Manifest:
        """Return a manifest of kubernetes/argocd, made for this repository and this model."""
        text = (FOLDER / "argocd" / name).read_text()
        for general, own in (
            (settings()["repository"], self.url),
            ("diabetes_risk_model", self.world.model),
            ("diabetes-risk-model", self.world.model),
        ):
            text = text.replace(general, own)
        item: Manifest = yaml.safe_load(text)
        return item

    def name(self, stage: str) -> str:
        return f"{self.world.model}-{stage}"

    def look(self) -> None:
        """Let Argo CD look now: it does so every three minutes by itself."""
        self._annotate(SET, "application-set-refresh", "true")
        for item in self.cluster.items(APPLICATIONS):
            self._annotate(f"{APPLICATIONS}/{item['metadata']['name']}", "refresh", "normal")

    def _annotate(self, path: str, name: str, value: str) -> None:
        body = {"metadata": {"annotations": {f"argocd.argoproj.io/{name}": value}}}
        self.cluster.ask("PATCH", path, body, kind=MERGE)

    def application(self, name: str) -> Manifest:
        """Return an application; one that has no fields where there is none."""
        try:
            return self.cluster.ask("GET", f"{APPLICATIONS}/{name}")
        except Refused:
            return {}

    def wait_for(self, name: str, reached: Callable[[Manifest], bool], *, ready: bool = False) -> Manifest:
        """Wait until an application is as wanted; with `ready`, all pods that are made meanwhile run."""
        deadline = time.monotonic() + SECONDS
        while True:
            if ready:
                self.run_pods()
            found = self.application(name)
            if found.get("status") and reached(found):
                return found
            if time.monotonic() > deadline:
                logs = "\n".join(child.log(10) for child in self.argo_cd.children)
                raise AssertionError(f"{name} does not get there:\n{yaml.safe_dump(found.get('status'))}\n{logs}")
            time.sleep(0.2)

    def run_pods(self) -> None:
        """Say of every pod of the stages that it runs and is ready, as its node would."""
        running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        for stage in settings()["stages"].values():
            path = f"/api/v1/namespaces/{stage['namespace']}/pods"
            for pod in self.cluster.items(path):
                if pod["status"].get("phase") != "Running":
                    self.cluster.ask(
                        "PATCH", f"{path}/{pod['metadata']['name']}/status", {"status": running}, kind=MERGE
                    )

    def names(self, stage: str, kind: str) -> set[str]:
        """Return the names of a stage's objects of a kind, but for what every namespace has."""
        path = {"ConfigMap": "/api/v1", "Deployment": "/apis/apps/v1"}[kind]
        namespace = settings()["stages"][stage]["namespace"]
        items = self.cluster.items(f"{path}/namespaces/{namespace}/{kind.lower()}s")
        return {item["metadata"]["name"] for item in items} - {"kube-root-ca.crt"}

    def promote(self, serial: int, stage: str) -> None:
        """Register a version, approve it, and let the watcher commit it."""
        self.world.alias(stage, self.world.register(serial))
        (outcome,) = [each for each in self.world.watcher().once() if each.stage == stage]
        assert outcome.state == "promoted", outcome

    def deploy(self, name: str, item: Manifest, **changes: Any) -> str:
        """Commit an object in a folder of its own, and make an application of it, which is otherwise as a stage's."""
        self.world.review(f"{name}/object.yaml", yaml.safe_dump(item).encode(), f"Something else: {name}")
        self.world.review(f"{name}/kustomization.yaml", b"resources: [object.yaml]\n", f"Something else: {name}")
        application = self.manifest("application.yaml")
        application["metadata"]["name"] = name
        application["spec"]["source"] |= {"path": name, **changes.get("source", {})}
        application["spec"]["destination"] |= changes.get("destination", {})
        self.cluster.apply(application)
        return name


@pytest.fixture(scope="module")
def stand(registry_server: LocalRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("argocd")
    for name in ("world", "cluster", "argocd"):
        (folder / name).mkdir()
    cluster = ApiServer(folder / "cluster")
    with SshServer(folder / "ssh") as sshd, promoted_world(folder / "world", registry_server) as world, cluster:
        argo_cd = ArgoCd(cluster, folder / "argocd", sshd)
        for team in ("diabetes-analysts", "heart-analysts"):
            cluster.apply_all(build(FOLDER / "teams" / team))
        argo_cd.start()
        made = Stand(cluster, argo_cd, world, sshd.address(world.bare))
        argo_cd.trust("deployments", made.url, "diabetes-analysts", sshd.user_key)
        cluster.apply(made.manifest("project.yaml"))
        cluster.apply(made.manifest("application_set.yaml"))
        yield made


def operation_of(application: Manifest) -> Manifest:
    """Return what Argo CD does with an application: for a moment before it begins, and between two, nothing."""
    operation: Manifest = application["status"].get("operationState", {"phase": ""})
    return operation


def is_up_to_date(stand: Stand) -> Callable[[Manifest], bool]:
    """Tell of an application whether it has what the branch has, and all of it is well."""
    head = stand.world.head()

    def check(application: Manifest) -> bool:
        status = application["status"]
        sync = status.get("sync", {})
        well = status.get("health", {}).get("status") == "Healthy" and operation_of(application)["phase"] == "Succeeded"
        return well and (sync.get("status"), sync.get("revision")) == ("Synced", head)

    return check


def test_what_the_watcher_has_promoted_is_applied_and_well(stand: Stand) -> None:
    stand.look()
    for stage, fields in settings()["stages"].items():
        application = stand.wait_for(stand.name(stage), is_up_to_date(stand), ready=True)
        stand.world.pull()
        built = build(stand.world.folder / "work" / "deployments" / stand.world.model / stage)
        wanted = {(item["kind"], item["metadata"]["name"], fields["namespace"]) for item in built}
        found = {(item["kind"], item["name"], item["namespace"]) for item in application["status"]["resources"]}
        assert found == wanted
        parameters = built.find("ConfigMap", "model-parameters")
        path = f"/api/v1/namespaces/{fields['namespace']}/configmaps/{parameters['metadata']['name']}"
        assert stand.cluster.ask("GET", path)["data"] == parameters["data"]
        assert parameters["data"]["MINIMUM_SERIAL"] == "1"


def test_the_set_makes_the_application_that_stands_beside_it(stand: Stand) -> None:
    stand.look()
    made = stand.wait_for(stand.name("staging"), lambda application: True)
    alone = stand.manifest("application.yaml")["spec"]
    assert alone["syncPolicy"]["automated"].pop("allowEmpty") is False  # Argo CD leaves out what is so by itself
    assert made["spec"] == alone


def test_what_old_pods_need_stays_until_the_new_ones_run(stand: Stand) -> None:
    stand.look()
    stand.wait_for(stand.name("staging"), is_up_to_date(stand), ready=True)
    before = stand.names("staging", "ConfigMap")
    stand.promote(2, "staging")
    stand.look()

    def waits(application: Manifest) -> bool:
        return bool(operation_of(application)["phase"] == "Running" and stand.names("staging", "ConfigMap") > before)

    stand.wait_for(stand.name("staging"), waits)
    for _ in range(10):  # it would take away the old ones now, if it did not wait
        assert stand.names("staging", "ConfigMap") > before
        time.sleep(0.5)
    stand.wait_for(stand.name("staging"), is_up_to_date(stand), ready=True)
    after = stand.names("staging", "ConfigMap")
    assert len(after) == len(before)
    assert len(after & before) == 0


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_what_somebody_does_by_hand_is_undone(stand: Stand, what: str) -> None:
    stand.look()
    stand.wait_for(stand.name("staging"), is_up_to_date(stand), ready=True)
    path = f"/apis/apps/v1/namespaces/{settings()['stages']['staging']['namespace']}/deployments/diabetes-risk-model"
    before = stand.cluster.ask("GET", path)
    if what == "removed":
        stand.cluster.ask("DELETE", path)
    else:
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.org/other:1"}]
        stand.cluster.ask("PATCH", path, image, kind="application/json-patch+json")

    def is_back(application: Manifest) -> bool:
        try:
            found = stand.cluster.ask("GET", path)
        except Refused:
            return False
        same = found["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]
        return same and (what == "changed" or found["metadata"]["uid"] != before["metadata"]["uid"])

    stand.wait_for(stand.name("staging"), is_back, ready=True)


def attack(version: str, kind: str, namespace: str = "", **fields: Any) -> Manifest:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "attack", **place}, **fields}


ROLES = "rbac.authorization.k8s.io"
ADMIN = {"apiGroup": ROLES, "kind": "ClusterRole", "name": "cluster-admin"}
EVERYBODY = [{"apiGroup": ROLES, "kind": "Group", "name": "system:authenticated"}]
POD = {"containers": [{"name": "attack", "image": "example.org/attack:1"}]}
ATTACKS = [
    attack("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, "ingress": [{}], "egress": [{}]}),
    attack(f"{ROLES}/v1", "RoleBinding", roleRef=ADMIN, subjects=EVERYBODY),
    attack(f"{ROLES}/v1", "ClusterRoleBinding", roleRef=ADMIN, subjects=EVERYBODY),
    attack("v1", "Secret", stringData={"a": "b"}),
    attack("v1", "Pod", spec=POD),
    attack("v1", "Namespace"),
    attack("v1", "ConfigMap", "kube-system", data={"a": "b"}),
    attack("v1", "ConfigMap", "heart-analysts", data={"a": "b"}),
    attack("v1", "ConfigMap", "argocd", data={"a": "b"}),
]


@pytest.mark.parametrize("item", ATTACKS, ids=lambda item: f"{item['kind']}-{item['metadata'].get('namespace', '')}")
def test_a_commit_that_goes_for_more_is_not_applied(stand: Stand, item: Manifest) -> None:
    kind, namespace = item["kind"], item["metadata"].get("namespace", "")
    name = stand.deploy(f"attack-{kind}-{namespace}".lower().rstrip("-"), item)

    def is_refused(application: Manifest) -> bool:
        operation = operation_of(application)  # it runs as long as it is tried again
        return operation["phase"] in ("Running", "Failed") and "not permitted" in yaml.safe_dump(operation)

    found = stand.wait_for(name, is_refused)
    assert "Synced" not in [each.get("status") for each in found["status"].get("resources", [])]
    stand.cluster.ask("DELETE", f"{APPLICATIONS}/{name}")
    with pytest.raises(Refused) as refused:
        stand.cluster.find(item, settings()["stages"]["staging"]["namespace"])
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("name", "changes", "wanted"),
    [
        (
            "another-team",
            {"destination": {"namespace": "heart-analysts"}},
            "do not match any of the allowed destinations",
        ),
        ("the-cluster", {"destination": {"namespace": "kube-system"}}, "do not match any of the allowed destinations"),
        ("another-source", {"source": {"repoURL": "ssh://git@example.org/other.git"}}, "repo .* is not permitted"),
    ],
)
def test_an_application_for_more_is_not_followed(stand: Stand, name: str, changes: dict[str, Any], wanted: str) -> None:
    item = attack("v1", "ConfigMap", data={"a": "b"})
    stand.deploy(name, item, **changes)
    found = stand.wait_for(name, lambda application: bool(application["status"].get("conditions")))
    (condition,) = found["status"]["conditions"]
    assert condition["type"] == "InvalidSpecError"
    assert re.search(wanted, condition["message"])
    assert "operationState" not in found["status"]
    stand.cluster.ask("DELETE", f"{APPLICATIONS}/{name}")
    with pytest.raises(Refused) as refused:
        stand.cluster.find(item, changes.get("destination", {}).get("namespace", "diabetes-staging"))
    assert refused.value.status == 404


def test_a_folder_for_one_more_stage_is_not_followed(stand: Stand) -> None:
    """The set makes an application of it, and the project refuses that."""
    stand.world.review(
        f"deployments/{stand.world.model}/more/kustomization.yaml",
        b"resources: [../../../kubernetes/promotion/stage]\n",
        "One more stage",
    )
    stand.look()
    found = stand.wait_for(stand.name("more"), lambda application: bool(application["status"].get("conditions")))
    assert found["spec"]["destination"]["namespace"] == "diabetes-more"
    assert [each["type"] for each in found["status"]["conditions"]] == ["InvalidSpecError"]
    assert "operationState" not in found["status"]
    git(stand.world.folder / "work", "rm", "-r", "--quiet", f"deployments/{stand.world.model}/more")
    stand.world.push("Away with it")
    stand.cluster.ask("DELETE", f"{APPLICATIONS}/{stand.name('more')}")


def test_a_repair_ends_the_retries_of_a_commit_that_fails(stand: Stand) -> None:
    """Each try takes the newest commit. The tries of the one that fails would take five minutes."""
    broken = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "broken"}, "spec": {"ports": [{"port": 0}]}}
    name = stand.deploy("broken", broken)
    stand.wait_for(name, lambda application: operation_of(application).get("retryCount", 0) > 0)
    broken["spec"] = {"ports": [{"port": 80}], "selector": {"a": "b"}}
    stand.world.review("broken/object.yaml", yaml.safe_dump(broken).encode(), "Repair it")
    stand.wait_for(name, is_up_to_date(stand))
    stand.cluster.ask("DELETE", f"{APPLICATIONS}/{name}")


def test_a_folder_that_vanishes_from_git_takes_nothing_away(stand: Stand) -> None:
    stand.look()
    stand.wait_for(stand.name("production"), is_up_to_date(stand), ready=True)
    before = {kind: stand.names("production", kind) for kind in ("ConfigMap", "Deployment")}
    stand.world.pull()
    git(stand.world.folder / "work", "rm", "-r", "--quiet", f"deployments/{stand.world.model}/production")
    stand.world.push("Away with it")
    stand.look()
    found = stand.wait_for(stand.name("production"), lambda application: bool(application["status"].get("conditions")))
    assert "ComparisonError" in {each["type"] for each in found["status"]["conditions"]}
    assert {kind: stand.names("production", kind) for kind in before} == before
    (outcome,) = [each for each in stand.world.watcher().once() if each.stage == "production"]
    assert outcome.state == "promoted"
    stand.look()
    stand.wait_for(stand.name("production"), is_up_to_date(stand), ready=True)
    assert {kind: stand.names("production", kind) for kind in before} == before
