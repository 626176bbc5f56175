"""The manifests of service, teams, registry, watcher and promoted stages, on a real API server."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.kubernetes.api_server import ApiServer, Refused
from tests.kubernetes.manifests import FOLDER, Manifest, Manifests, build, rendered
from tests.ssh_server import wait_until

TEAMS = ("diabetes-analysts", "heart-analysts")
STAGES = ("diabetes-staging", "diabetes-production")
NAMESPACES = ("diabetes-analysts", "diabetes-promotion", *STAGES, "heart-analysts")
MAKERS = {"Deployment", "StatefulSet", "Job"}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """What promoted stages build on, in the namespaces of both."""
    found = Manifests()
    for namespace in STAGES:
        folder = tmp_path_factory.mktemp(namespace)
        base = os.path.relpath(FOLDER / "promotion" / "stage", folder.resolve())
        (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [base], "namespace": namespace}))
        found += build(folder)
    return found


@pytest.fixture(scope="module")
def everything(stages: Manifests) -> Manifests:
    """All that the walk of kubernetes/argocd applies, or lets Argo CD apply."""
    people = [build(FOLDER / "teams" / name) for name in ("storage", *TEAMS)]
    return Manifests(item for objects in (rendered("minikube"), *people, stages) for item in objects)


@pytest.fixture(scope="module")
def cluster(everything: Manifests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A cluster in which all of it was applied, and every quota counts."""
    with ApiServer(tmp_path_factory.mktemp("control_plane")) as server:
        server.apply_all(everything)
        quotas = "/api/v1/resourcequotas"
        wait_until(lambda: all("used" in quota.get("status", {}) for quota in server.items(quotas)), "quotas count")
        yield server


def warnings(cluster: ApiServer) -> list[str]:
    """Return what controllers complain of, but for measurements, which nothing makes without nodes."""
    events = cluster.items("/api/v1/events")
    return [item["message"] for item in events if item["type"] == "Warning" and "metric" not in item["message"]]


def test_every_pod_is_made_in_spite_of_restrictions_and_quotas(cluster: ApiServer, everything: Manifests) -> None:
    wanted = {
        (item["metadata"]["namespace"], item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"])
        for item in everything
        if item["kind"] in MAKERS
    }

    def made() -> set[tuple[str, str]]:
        pods = cluster.items("/api/v1/pods")
        return {(pod["metadata"]["namespace"], pod["metadata"]["labels"]["app.kubernetes.io/name"]) for pod in pods}

    assert len(wanted) >= len(NAMESPACES)
    wait_until(lambda: made() >= wanted or bool(warnings(cluster)), "every pod is made")
    assert warnings(cluster) == []
    assert made() == wanted


def test_applying_it_again_changes_nothing(cluster: ApiServer, stages: Manifests) -> None:
    """Argo CD would otherwise see a difference at each look, and the autoscaler's replicas would be put back."""
    first, second = (
        {name(item): item["metadata"]["resourceVersion"] for item in each} for each in _twice(cluster, stages)
    )
    moving = {key for key in first if key[0] in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget")}
    assert {key: first[key] for key in first.keys() - moving} == {key: second[key] for key in first.keys() - moving}
    generations = [
        {name(item): item["metadata"]["generation"] for item in each if item["kind"] == "Deployment"}
        for each in _twice(cluster, stages)
    ]
    assert generations[0] == generations[1]
    assert len(generations[0]) == len(STAGES)


def _twice(cluster: ApiServer, objects: Manifests) -> list[list[Manifest]]:
    return [cluster.apply_all(objects) for _ in range(2)]


def name(item: Manifest) -> tuple[str, str, str]:
    return item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]


def pod(everything: Manifests, namespace: str) -> Manifest:
    """Return a pod as the service's are, for a namespace."""
    (template,) = [
        item["spec"]["template"]
        for item in everything
        if (item["kind"], item["metadata"].get("namespace")) == ("Deployment", "diabetes-staging")
    ]
    copy: Any = yaml.safe_load(yaml.safe_dump(template))
    copy["spec"].pop("serviceAccountName")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "guest", "namespace": namespace},
        "spec": copy["spec"],
    }


def create(cluster: ApiServer, item: Manifest) -> None:
    """Have the server say whether it would take a new object; it keeps nothing."""
    kind = {"Pod": "pods", "Service": "services"}[item["kind"]]
    cluster.ask("POST", f"/api/v1/namespaces/{item['metadata']['namespace']}/{kind}?dryRun=All", item)


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_pod_that_asks_for_more_is_refused(cluster: ApiServer, everything: Manifests, namespace: str) -> None:
    create(cluster, pod(everything, namespace))
    greedy: list[tuple[str, Manifest]] = []
    for why, change in [
        ("violates PodSecurity", {"hostNetwork": True}),
        ("violates PodSecurity", {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}),
        ("violates PodSecurity", {"securityContext": {"runAsUser": 0}}),
    ]:
        item = pod(everything, namespace)
        item["spec"].update(change)
        if "volumes" in change:
            item["spec"]["containers"][0]["volumeMounts"] = []
        greedy.append((why, item))
    for resource, amount in (("memory", "64Gi"), ("cpu", "64")):
        item = pod(everything, namespace)
        item["spec"]["containers"][0]["resources"]["limits"][resource] = amount
        greedy.append((f"maximum {resource} usage per Container", item))
    for why, item in greedy:
        with pytest.raises(Refused, match=why) as refused:
            create(cluster, item)
        assert refused.value.status == 403


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_no_namespace_of_a_team_opens_a_port_to_the_outside(cluster: ApiServer, namespace: str, kind: str) -> None:
    spec = {"type": kind, "ports": [{"port": 80}], "selector": {"a": "b"}}
    metadata = {"name": "open", "namespace": namespace}
    with pytest.raises(Refused, match="exceeded quota"):
        create(cluster, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def test_a_field_that_kubernetes_does_not_know_is_refused(cluster: ApiServer, stages: Manifests) -> None:
    """As a check that the server is as strict as the other tests take it to be."""
    (item, *_) = [item for item in stages if item["kind"] == "Deployment"]
    broken: Any = yaml.safe_load(yaml.safe_dump(item))
    broken["spec"]["template"]["spec"]["containers"][0]["securtyContext"] = {}
    with pytest.raises(Refused, match="field not declared in schema"):
        cluster.apply(broken)


@pytest.mark.parametrize("team", TEAMS)
def test_people_may_look_and_forward_two_ports_and_no_more(cluster: ApiServer, team: str) -> None:
    own = [namespace for namespace in NAMESPACES if namespace.split("-")[0] == team.split("-")[0]]
    for namespace in NAMESPACES:
        ours = namespace in own
        assert cluster.may(team, "get", "pods", namespace) == ours
        assert cluster.may(team, "get", "pods/log", namespace) == ours
        assert cluster.may(team, "create", "pods/portforward", namespace) == (namespace == team)
        for verb, resource in [
            ("get", "secrets"),
            ("list", "secrets"),
            ("create", "pods"),
            ("create", "pods/exec"),
            ("create", "pods/attach"),
            ("patch", "pods/ephemeralcontainers"),
            ("create", "serviceaccounts/token"),
            ("patch", "configmaps"),
            ("patch", "networkpolicies"),
            ("patch", "resourcequotas"),
            ("create", "rolebindings"),
        ]:
            assert not cluster.may(team, verb, resource, namespace), (verb, resource, namespace)
    assert cluster.may(team, "create", "pods/portforward", "model-services", "minio-0")
    assert not cluster.may(team, "create", "pods/portforward", "model-services", "diabetes-risk-model-x")
    assert not cluster.may(team, "get", "secrets", "model-services")
