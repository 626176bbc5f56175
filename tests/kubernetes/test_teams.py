"""kubernetes/teams: namespaces that keep teams apart, and let through what has to go through."""

from decimal import Decimal
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.kubernetes.manifests import FOLDER, Manifest, Manifests, build, quantity, rendered
from tests.kubernetes.pod_security import violations
from tests.kubernetes.reachability import Peer, allowed, open_network, pod

RELEASES = ["1.37", "1.33", "1.30"]
TEAMS = {
    "diabetes-analysts": ["diabetes-analysts", "diabetes-production", "diabetes-promotion", "diabetes-staging"],
    "heart-analysts": ["heart-analysts"],
}
STAGES = ["diabetes-staging", "diabetes-production"]
SERVICE = "diabetes-risk-model"
GIT = "203.0.113.7"
PORTS = [("TCP", port) for port in (22, 53, 80, 443, 5000, 8000, 9000)] + [("UDP", 53)]


def team(name: str) -> Manifests:
    return build(FOLDER / "teams" / name)


def stage(namespace: str) -> Manifests:
    """Return what Argo CD puts into a stage's namespace, but for the names of ConfigMaps."""
    objects = build(FOLDER / "promotion" / "stage")
    for item in objects:
        assert item["metadata"]["namespace"] == "stage"
        item["metadata"]["namespace"] = namespace
    return objects


@pytest.fixture
def everything() -> Manifests:
    """All that one cluster has: the storage's namespace, both teams, and the promoted stages."""
    parts = [rendered("base"), build(FOLDER / "teams" / "storage"), *map(team, TEAMS), *map(stage, STAGES)]
    return Manifests(item for part in parts for item in part)


@pytest.fixture
def peers(everything: Manifests) -> dict[str, Peer]:
    def ours(name: str, namespace: str) -> Peer:
        return pod(name, namespace, everything)

    return {
        "registry": ours("registry", "diabetes-analysts"),
        "analyst's pod": ours("training", "diabetes-analysts"),
        "watcher": ours("promotion", "diabetes-promotion"),
        "staging": ours(SERVICE, "diabetes-staging"),
        "production": ours(SERVICE, "diabetes-production"),
        "staging's other pod": ours("other", "diabetes-staging"),
        "production's other pod": ours("other", "diabetes-production"),
        "false watcher": ours("promotion", "diabetes-analysts"),
        "heart registry": ours("registry", "heart-analysts"),
        "heart pod": ours("training", "heart-analysts"),
        "heart watcher": ours("promotion", "heart-analysts"),
        "storage": ours("minio", "model-services"),
        "stranger": Peer("shop", {"app.kubernetes.io/name": "promotion"}, {"kubernetes.io/metadata.name": "shop"}),
        "client": Peer("front", {"app": "front"}, {"model-services/clients": "true"}),
        "names": Peer("kube-system", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}),
        "git": Peer(address=GIT),
        "internet": Peer(address="198.51.100.7"),
        "cloud metadata": Peer(address="169.254.169.254"),
    }


STAGED = ["staging", "production"]
OURS = [
    *STAGED,
    *(f"{name}'s other pod" for name in STAGED),
    "registry",
    "analyst's pod",
    "watcher",
    "false watcher",
    "heart registry",
    "heart pod",
    "heart watcher",
]
TABLE = {
    *((sender, "names", protocol, 53) for sender in OURS for protocol in ("TCP", "UDP")),
    *((sender, "storage", "TCP", 9000) for sender in OURS),
    ("analyst's pod", "registry", "TCP", 5000),
    ("watcher", "registry", "TCP", 5000),
    ("watcher", "git", "TCP", 22),
    ("heart pod", "heart registry", "TCP", 5000),
    *(("client", name, "TCP", 8000) for name in STAGED),
}


def connections(objects: Manifests, peers: dict[str, Peer]) -> set[tuple[str, str, str, int]]:
    return {
        (sender, receiver, protocol, port)
        for sender in peers
        for receiver in peers
        if sender != receiver and (sender in OURS or receiver in OURS)
        for protocol, port in PORTS
        if allowed(objects, peers[sender], peers[receiver], port, protocol)
    }


def test_only_these_connections_are_allowed(everything: Manifests, peers: dict[str, Peer]) -> None:
    assert connections(everything, peers) == TABLE


@pytest.mark.parametrize("namespace", [name for names in TEAMS.values() for name in names])
def test_every_policy_is_needed(everything: Manifests, peers: dict[str, Peer], namespace: str) -> None:
    ours = [
        item for item in everything if item["kind"] == "NetworkPolicy" and item["metadata"]["namespace"] == namespace
    ]
    assert len(ours) >= 4
    for policy in ours:
        less = Manifests(item for item in everything if item is not policy)
        assert connections(less, peers) != TABLE, policy["metadata"]["name"]


@pytest.mark.parametrize("namespace", STAGES)
def test_no_commit_brings_policies_since_one_more_would_open_all(
    everything: Manifests, peers: dict[str, Peer], namespace: str
) -> None:
    """The project's tests have the same policy among what a commit goes for, and Argo CD does not make it."""
    assert not [item for item in stage(namespace) if item["kind"] == "NetworkPolicy"]
    name = namespace.removeprefix("diabetes-")
    assert not allowed(everything, peers[name], peers["internet"], 443)
    everything.append(open_network(namespace))
    assert allowed(everything, peers[name], peers["internet"], 443)


def test_the_storage_lets_in_nobody_whose_namespace_has_no_label(everything: Manifests, peers: dict[str, Peer]) -> None:
    for name in ("stranger", "client", "internet"):
        assert not allowed(everything, peers[name], peers["storage"], 9000)
    for item in everything:
        if item["kind"] == "Namespace" and item["metadata"]["name"] in TEAMS["diabetes-analysts"]:
            item["metadata"]["labels"]["model-services/storage"] = "false"
    blocked = pod("registry", "diabetes-analysts", everything)
    assert not allowed(everything, blocked, peers["storage"], 9000)


@pytest.mark.parametrize("name", TEAMS)
def test_every_namespace_is_restricted_and_has_its_limits(name: str) -> None:
    objects = team(name)
    assert sorted(item["metadata"]["name"] for item in objects if item["kind"] == "Namespace") == TEAMS[name]
    for item in objects:
        assert item["metadata"]["labels"]["model-services/team"] == name
        if item["kind"] == "Namespace":
            for mode in ("enforce", "audit", "warn"):
                assert item["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
        else:
            assert item["metadata"]["namespace"] in TEAMS[name]
    for namespace in TEAMS[name]:
        kinds = {item["kind"] for item in objects if item["metadata"].get("namespace") == namespace}
        assert kinds >= {"ResourceQuota", "LimitRange", "NetworkPolicy", "Role", "RoleBinding"}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["storage", *TEAMS])
def test_every_object_fits_the_schema_of_the_release(name: str, release: str) -> None:
    for item in team(name):
        assert kubernetes_validate.validate(item, release, strict=True) == release


@pytest.mark.parametrize("name", TEAMS)
def test_every_pod_may_run_in_a_restricted_namespace(name: str) -> None:
    objects = team(name)
    pods = list(objects.pods())
    assert pods
    for made in pods:
        assert violations(made.template) == []
        assert made.spec["automountServiceAccountToken"] is False
        assert made.spec["enableServiceLinks"] is False
        assert objects.find("ServiceAccount", made.spec["serviceAccountName"])["automountServiceAccountToken"] is False
        for container in made.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def needs(objects: Manifests, namespace: str) -> dict[str, Decimal]:
    """Return what the pods of a namespace take at most: as many as the autoscaler makes, and one more at a rollout."""
    taken: dict[str, Decimal] = {}
    for item in objects:
        if item["kind"] != "Deployment" or item["metadata"]["namespace"] != namespace:
            continue
        scaled = [
            one["spec"]["maxReplicas"]
            for one in objects
            if (one["kind"], one["metadata"].get("namespace")) == ("HorizontalPodAutoscaler", namespace)
        ]
        (count,) = scaled if namespace in STAGES else [item["spec"]["replicas"]]
        count += 0 if item["spec"].get("strategy", {}).get("type") == "Recreate" else 1
        taken["pods"] = taken.get("pods", Decimal()) + count
        for container in item["spec"]["template"]["spec"]["containers"]:
            for kind, amounts in container["resources"].items():
                for resource, amount in amounts.items():
                    name = f"{kind}.{resource}"
                    taken[name] = taken.get(name, Decimal()) + count * quantity(amount)
    return taken


def test_the_quotas_leave_room_for_what_belongs_there(everything: Manifests) -> None:
    for item in everything:
        if (item["kind"], item["metadata"].get("namespace")) == ("HorizontalPodAutoscaler", "model-services"):
            item["spec"]["maxReplicas"] = 100  # of no team
    for namespace in (name for names in TEAMS.values() for name in names):
        (quota,) = [
            item["spec"]["hard"]
            for item in everything
            if item["kind"] == "ResourceQuota" and item["metadata"]["namespace"] == namespace
        ]
        taken = needs(everything, namespace)
        assert taken
        for resource, amount in taken.items():
            assert amount <= quantity(quota[resource]), (namespace, resource)
        assert (quota["services.loadbalancers"], quota["services.nodeports"]) == ("0", "0")


def test_no_container_is_larger_than_its_namespace_allows_and_each_says_what_it_takes(everything: Manifests) -> None:
    (limits,) = [item for item in team("heart-analysts") if item["kind"] == "LimitRange"]
    by_type = {one["type"]: one["max"] for one in limits["spec"]["limits"]}
    quota = team("heart-analysts").find("ResourceQuota", "team")["spec"]["hard"]
    for made in (made for name in TEAMS for made in team(name).pods()):
        for container in made.containers:
            for resource, most in by_type["Container"].items():
                assert quantity(container["resources"]["limits"][resource]) <= quantity(most)
                assert f"limits.{resource}" in quota
    for claim in (item for item in everything if item["kind"] == "PersistentVolumeClaim"):
        size = quantity(claim["spec"]["resources"]["requests"]["storage"])
        assert size <= quantity(by_type["PersistentVolumeClaim"]["storage"]) <= quantity(quota["requests.storage"])


@pytest.mark.parametrize("name", TEAMS)
def test_people_may_look_and_reach_the_registry_and_nothing_that_shows_a_secret(name: str) -> None:
    objects = team(name)
    assert not {item["kind"] for item in objects} & {"ClusterRole", "ClusterRoleBinding"}
    for item in objects:
        if item["kind"] == "RoleBinding":
            assert [(one["kind"], one["name"]) for one in item["subjects"]] == [("Group", name)]
            role = [
                one
                for one in objects
                if one["kind"] == "Role"
                and (one["metadata"]["namespace"], one["metadata"]["name"])
                == (item["metadata"]["namespace"], item["roleRef"]["name"])
            ]
            assert len(role) == 1
        if item["kind"] == "Role":
            for rule in item["rules"]:
                assert not set(rule["resources"]) & {
                    "secrets",
                    "pods/exec",
                    "pods/attach",
                    "serviceaccounts/token",
                    "*",
                }
                changing = set(rule["verbs"]) - {"get", "list", "watch"}
                if changing:
                    assert (rule["resources"], rule["verbs"]) == (["pods/portforward"], ["create"])
                    assert item["metadata"]["namespace"] == name


def test_people_reach_the_storage_by_port_forward_and_nothing_else_there() -> None:
    """As `kubectl port-forward service/minio` asks: the Service, the pods that it selects, one pod, its port."""
    objects, base = team("storage"), rendered("base")
    (binding,) = [item for item in objects if item["kind"] == "RoleBinding"]
    assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [("Group", name) for name in TEAMS]
    (role,) = [item for item in objects if item["kind"] == "Role"]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", **_name(role)}
    storage = base.find("StatefulSet", "minio")
    for item in (binding, role):
        assert item["metadata"]["namespace"] == storage["metadata"]["namespace"]
    service = base.find("Service", "minio")["metadata"]["name"]
    rights = {
        (verb, resource, name)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["any"])
    }
    assert all(rule["apiGroups"] == [""] for rule in role["rules"])
    assert storage["spec"]["replicas"] == 1
    assert rights == {
        ("get", "services", service),
        ("get", "pods", "any"),
        ("list", "pods", "any"),
        ("create", "pods/portforward", f"{storage['metadata']['name']}-0"),
    }


def _name(item: Manifest) -> Manifest:
    return {"name": item["metadata"]["name"]}


def test_no_registry_is_shared() -> None:
    for name in TEAMS:
        registries = [
            item for item in team(name) if (item["kind"], item["metadata"]["name"]) == ("Deployment", "registry")
        ]
        assert [item["metadata"]["namespace"] for item in registries] == [name]
        (container,) = registries[0]["spec"]["template"]["spec"]["containers"]
        assert "--artifacts-destination=s3://registry-$(NAMESPACE)" in container["args"]


def test_nothing_differs_between_the_teams_but_who_they_are() -> None:
    def neutral(name: str, namespace: str) -> Any:
        objects = [
            item for item in team(name) if namespace in (item["metadata"].get("namespace"), item["metadata"]["name"])
        ]
        text = yaml.safe_dump_all(sorted(objects, key=lambda item: (item["kind"], item["metadata"]["name"])))
        return list(yaml.safe_load_all(text.replace(name, "a-team")))

    first, second = neutral("diabetes-analysts", "diabetes-analysts"), neutral("heart-analysts", "heart-analysts")
    (more,) = [one for one, other in zip(first, second, strict=True) if one != other]
    assert (more["kind"], more["metadata"]["name"]) == ("NetworkPolicy", "registry")
    assert len(more["spec"]["ingress"][0]["from"]) == 2
