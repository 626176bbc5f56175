"""Batch scoring and the drift check on Kubernetes, and what Dask's operator makes of its objects."""

import copy
import re
from collections.abc import Callable
from typing import Any

import click
import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from diabetes_risk_model.cli import main
from tests.kubernetes.batch import pods, with_batch, with_made
from tests.kubernetes.dask_operator import cluster_of, validate
from tests.kubernetes.manifests import FOLDER, Manifests, Pod, build, quantity, selects
from tests.kubernetes.pod_security import violations
from tests.kubernetes.reachability import Peer, allowed, pod
from tests.kubernetes.test_manifests import RELEASES

OF_THE_OPERATOR = "kubernetes.dask.org/v1"
_ROLES = ("CLIENT", "SCHEDULER", "WORKER")


@pytest.fixture(scope="module")
def rendering(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    return with_batch(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def objects(rendering: Manifests) -> Manifests:
    """All objects, with what the operator makes of its own."""
    return with_made(Manifests(copy.deepcopy(list(rendering))))


@pytest.mark.parametrize("release", RELEASES)
def test_every_object_fits_the_schema_of_the_release(objects: Manifests, release: str) -> None:
    for item in objects:
        if item["apiVersion"] != OF_THE_OPERATOR:
            assert kubernetes_validate.validate(item, release, strict=True) == release


def test_the_operator_s_objects_fit_its_schemas(objects: Manifests) -> None:
    job = objects.find("DaskJob", "score-large")
    validate(job)
    validate(cluster_of(job))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["cluster"]["spec"].pop("scheduler"),
        lambda spec: spec["cluster"]["spec"]["scheduler"].pop("service"),
        lambda spec: spec["cluster"]["spec"]["worker"].update(replica=2),
        lambda spec: spec["cluster"]["spec"]["worker"].update(replicas="2"),
        lambda spec: spec.update(workers={}),
        lambda spec: spec["job"]["metadata"].update(name="x"),
    ],
)
def test_the_operator_s_schemas_refuse_what_is_misspelt(change: Callable[[Any], object], objects: Manifests) -> None:
    job = objects.find("DaskJob", "score-large")
    change(job["spec"])
    with pytest.raises(jsonschema.ValidationError):
        validate(job)


def test_the_components_change_nothing_of_the_service(rendering: Manifests) -> None:
    alone = build(FOLDER / "overlays" / "minikube")
    assert [item for item in rendering if item in alone] == list(alone)
    kinds = {(item["kind"], item["metadata"]["name"]) for item in rendering if item not in alone}
    assert kinds == {
        ("ServiceAccount", "batch"),
        ("Job", "batch-storage"),
        ("Job", "score"),
        ("CronJob", "drift"),
        ("DaskJob", "score-large"),
        *(("NetworkPolicy", f"batch-{name}") for name in ("names", "to-storage", "storage")),
        *(("NetworkPolicy", f"dask-{name}") for name in ("names", "to-storage", "storage")),
        *(("NetworkPolicy", f"dask-{name}") for name in ("to-scheduler", "scheduler", "to-workers", "workers")),
    }


def test_every_pod_may_run_in_a_restricted_namespace_and_cannot_write_to_its_root(objects: Manifests) -> None:
    for name, each in pods(objects).items():
        assert violations(each.template) == [], name
        assert each.spec["automountServiceAccountToken"] is False
        assert each.spec["enableServiceLinks"] is False
        assert each.spec["serviceAccountName"] == "batch"
        assert each.spec["securityContext"]["runAsUser"] > 10_000
        for container in each.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["image"] == "diabetes-risk-model-batch:0.1.0"
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory", "ephemeral-storage"} == set(requests) == set(limits)
            assert all(0 < quantity(requests[one]) <= quantity(limits[one]) for one in requests)
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= {volume["name"] for volume in each.spec["volumes"]}
        for volume in each.spec["volumes"]:
            if "emptyDir" in volume:
                room = quantity(each.spec["containers"][0]["resources"]["limits"]["ephemeral-storage"])
                assert quantity(volume["emptyDir"]["sizeLimit"]) < room, name


def test_what_is_trusted_is_what_the_service_trusts(objects: Manifests) -> None:
    """The very ConfigMaps of the service, by their names with the digest, in the objects of the operator too."""
    service = objects.pod("diabetes-risk-model")
    for name, each in pods(objects).items():
        if name == "score-large-scheduler":
            continue  # it neither fetches nor scores
        assert _trust(each) == _trust(service), name


def _trust(each: Pod) -> dict[str, Any]:
    container = each.spec["containers"][0]
    variables = {one["name"]: one for one in container["env"]}
    (volume,) = [volume["configMap"]["name"] for volume in each.spec["volumes"] if "configMap" in volume]
    names = ("REST_CONFIG", "MODEL_PARAMETERS_VERSION", "PARAMETERS_VERIFICATION_KEYS")
    return {"file": volume, **{name: variables[name] for name in names}}


def test_secrets_are_named_only_and_given_to_whom_needs_them(objects: Manifests) -> None:
    assert "Secret" not in {kind for kind, _ in objects.kinds()}
    used = {}
    for name, each in pods(objects).items():
        variables = [one for container in each.containers for one in container.get("env", [])]
        for one in variables:
            if re.search(r"SECRET|ACCESS_KEY", one["name"]):
                assert "secretKeyRef" in one["valueFrom"], one["name"]
        named = {one["valueFrom"]["secretKeyRef"]["name"] for one in variables if "secretKeyRef" in str(one)}
        used[name] = named | {volume["secret"]["secretName"] for volume in each.spec["volumes"] if "secret" in volume}
    keys = {"model-reader", "batch-storage"}
    assert used.pop("score-large-scheduler") == {"dask-tls"}
    assert used.pop("score") == used.pop("drift") == keys
    assert set(map(frozenset, used.values())) == {frozenset({*keys, "dask-tls"})}


def test_the_bucket_and_its_user_are_made_by_a_pod_that_may_and_runs_what_the_base_runs(objects: Manifests) -> None:
    own, base = objects.pod("batch-storage"), objects.pod("storage")
    assert violations(own.template) == []
    assert own.template["metadata"]["labels"] == base.template["metadata"]["labels"]  # by which it reaches the storage
    (container,), (first, _) = own.containers, base.containers
    assert container["image"] == first["image"]
    assert container["command"] == [*first["command"][:2], "prepare-own", "batches"]
    assert own.spec["volumes"] == base.spec["volumes"]
    named = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert named["OWNER_ACCESS_KEY"] == {"name": "batch-storage", "key": "AWS_ACCESS_KEY_ID"}
    assert named["OWNER_SECRET_KEY"] == {"name": "batch-storage", "key": "AWS_SECRET_ACCESS_KEY"}
    assert {reference["name"] for reference in named.values()} == {"batch-storage", "minio-root"}
    addresses = [argument for argument in pods(objects)["score"].containers[0]["args"] if "://" in argument]
    assert all(address.startswith("s3://batches/") for address in addresses)


def test_the_waiting_container_has_no_secret(objects: Manifests) -> None:
    (waiting,) = pods(objects)["score-large-runner"].spec["initContainers"]
    assert "env" not in waiting
    assert "volumeMounts" not in waiting


def test_commands_are_commands_and_options_that_exist(objects: Manifests) -> None:
    for name in ("score", "drift", "score-large-runner"):
        command, *arguments = pods(objects)[name].spec["containers"][0]["args"]
        found = main.commands[command]
        context = click.Context(found)
        found.parse_args(context, list(arguments))
        assert context.params


def test_a_refused_package_or_drift_ends_a_job_and_storage_that_is_away_does_not(objects: Manifests) -> None:
    score = objects.find("Job", "score")["spec"]
    drift = objects.find("CronJob", "drift")["spec"]["jobTemplate"]["spec"]
    for spec, codes in ((score, [1, 2]), (drift, [1, 2, 4])):
        (rule,) = spec["podFailurePolicy"]["rules"]
        assert rule["action"] == "FailJob"
        assert rule["onExitCodes"]["values"] == codes
        assert rule["onExitCodes"]["containerName"] == spec["template"]["spec"]["containers"][0]["name"]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"  # as the policy needs it
        assert spec["backoffLimit"] > 0
        assert spec["activeDeadlineSeconds"] > 0
    assert score["ttlSecondsAfterFinished"] > 0
    cron = objects.find("CronJob", "drift")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["successfulJobsHistoryLimit"] >= 1 <= cron["failedJobsHistoryLimit"]


def test_dask_speaks_tls_only_and_all_sides_show_a_certificate(objects: Manifests) -> None:
    found = pods(objects)
    roles = {"score-large-runner": "CLIENT", "score-large-scheduler": "SCHEDULER"}
    address = "tls://score-large-scheduler.model-services.svc:8786"
    for name, each in found.items():
        if name in ("score", "drift"):
            continue
        role = roles.get(name, "WORKER")
        container = each.spec["containers"][0]
        variables = {one["name"]: one.get("value") for one in container["env"]}
        prefix = "DASK_DISTRIBUTED__COMM__TLS__"
        assert variables["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        assert variables[f"{prefix}CA_FILE"] == "/etc/dask-tls/ca.crt"
        assert {one for one in _ROLES if f"{prefix}{one}__CERT" in variables} == {role}
        assert "--allow-plain-scheduler" not in container["args"]
        if role == "WORKER":
            assert variables["DASK_SCHEDULER_ADDRESS"] == address
        elif role == "CLIENT":
            assert container["args"][container["args"].index("--scheduler") + 1] == address
        if role != "CLIENT":
            assert container["args"][container["args"].index("--protocol") + 1] == "tls"


def test_the_scheduler_s_service_and_ports_are_those_of_its_pod(objects: Manifests) -> None:
    service, scheduler = (
        objects.find("Service", "score-large-scheduler")["spec"],
        pods(objects)["score-large-scheduler"],
    )
    assert [
        name for name, each in pods(objects).items() if selects({"matchLabels": service["selector"]}, each.labels)
    ] == ["score-large-scheduler"]
    (container,) = scheduler.spec["containers"]
    (port,) = container["ports"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert container["args"][container["args"].index("--port") + 1] == str(port["containerPort"])
    (worker,) = pods(objects)["score-large-default-worker-0a1b2c3d4e"].spec["containers"]
    assert worker["args"][worker["args"].index("--worker-port") + 1] == str(worker["ports"][0]["containerPort"])


PEERS = {
    "service": pod("diabetes-risk-model"),
    "storage": pod("minio"),
    "upload": pod("storage"),
    "score": pod("score"),
    "drift": pod("drift"),
    "job": pod("score-large"),
    "scheduler": pod("dask-scheduler"),
    "worker": pod("dask-worker"),
    "neighbour": pod("something-else"),
    "client": Peer("shop", {"app": "shop"}, {"model-services/clients": "true"}),
    "stranger": Peer("elsewhere", {"app.kubernetes.io/name": "score-large"}, {}),
    "operator": Peer("dask-operator", {"app.kubernetes.io/name": "dask-kubernetes-operator"}, {}),
    "names": Peer("kube-system", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}),
    "internet": Peer(address="198.51.100.7"),
    "cloud metadata": Peer(address="169.254.169.254"),
}
OURS = ("score", "drift", "job", "scheduler", "worker")
PORTS = [("TCP", port) for port in (53, 80, 443, 8000, 8786, 8787, 8790, 9000)] + [("UDP", 53)]


def test_only_these_connections_are_allowed(objects: Manifests) -> None:
    found = {
        (sender, receiver, protocol, port)
        for sender in PEERS
        for receiver in PEERS
        if sender in OURS or receiver in OURS
        for protocol, port in PORTS
        if allowed(objects, PEERS[sender], PEERS[receiver], port, protocol)
    }
    readers = ("score", "drift", "job", "worker")
    assert found == {
        *((sender, "storage", "TCP", 9000) for sender in readers),
        *((sender, "names", protocol, 53) for sender in readers for protocol in ("TCP", "UDP")),
        ("job", "scheduler", "TCP", 8786),
        ("worker", "scheduler", "TCP", 8786),
        ("scheduler", "worker", "TCP", 8790),
    }


def test_the_pods_have_the_labels_by_which_the_policies_know_them(objects: Manifests) -> None:
    label = "app.kubernetes.io/name"
    found = {name: each.labels[label] for name, each in pods(objects).items()}
    assert found == {
        "score": "score",
        "drift": "drift",
        "score-large-runner": "score-large",
        "score-large-scheduler": "dask-scheduler",
        "score-large-default-worker-0a1b2c3d4e": "dask-worker",
    }


def test_without_the_policy_of_the_scheduler_nobody_reaches_it(objects: Manifests) -> None:
    objects.remove(objects.find("NetworkPolicy", "dask-scheduler"))
    assert not any(allowed(objects, sender, PEERS["scheduler"], 8786) for sender in PEERS.values())


def test_no_secret_is_in_a_file() -> None:
    for path in (FOLDER / "batch").rglob("*.yaml"):
        text = path.read_text()
        assert "PRIVATE KEY" not in text
        assert all("kind" in item for item in yaml.safe_load_all(text) if item and "nameReference" not in item)
