"""Every object fits the schemas of a current and of an older release, and what is named in one is there in another."""

import re
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.kubernetes.manifests import FOLDER, KUSTOMIZATIONS, ROOT, Manifests, build, quantity, read, rendered, selects

RELEASES = ["1.37", "1.33", "1.30"]  # 1.30 is the first whose preStop can sleep
CLUSTER_WIDE = {"Namespace"}
FOLDERS = sorted(
    path.parent.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("kustomization.yaml")
    if yaml.safe_load(path.read_text())["kind"] == "Kustomization"
)
_MEBIBYTE = 1 << 20
# What a secret looks like: keys of ours, private keys, passwords beside their names, tokens of clouds.
_SECRET = re.compile(
    r"PRIVATE KEY|hmac-sha512:\S{20}|\"(private|secret)_?key\"\s*:|AKIA[0-9A-Z]{16}|ya29\.|gh[pousr]_[A-Za-z0-9]{20}"
    r"|(PASSWORD|SECRET_KEY|SECRET_ACCESS_KEY)[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9+/]{8}"
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_every_object_fits_the_schema_of_the_release(name: str, release: str) -> None:
    for item in rendered(name):
        assert kubernetes_validate.validate(item, release, strict=True) == release


@pytest.mark.parametrize("release", RELEASES)
def test_the_schemas_refuse_a_field_that_is_misspelt(release: str) -> None:
    deployment = rendered("base").find("Deployment", "diabetes-risk-model")
    deployment["spec"]["template"]["spec"]["automountServiceAccountTokens"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, release, strict=True)


def test_a_release_before_those_does_not_know_the_pause_before_the_end() -> None:
    deployment = rendered("base").find("Deployment", "diabetes-risk-model")
    with pytest.raises(kubernetes_validate.ValidationError, match="sleep"):
        kubernetes_validate.validate(deployment, "1.28", strict=True)


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_no_object_is_there_twice(name: str) -> None:
    kinds = rendered(name).kinds()
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_selectors_select_the_pods_that_they_are_for(name: str) -> None:
    objects = rendered(name)
    pods = {pod.name: pod.labels for pod in objects.pods()}
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] == "Service":
            selector = {"matchLabels": spec["selector"]}
        elif item["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            selector = spec["selector"]
        else:
            continue
        assert [one for one in pods if selects(selector, pods[one])] == [item["metadata"]["name"]]
    (deployment,) = [item for item in objects if item["kind"] == "Deployment"]
    for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"] == deployment["spec"]["selector"]
    target = objects.find("HorizontalPodAutoscaler", "diabetes-risk-model")["spec"]["scaleTargetRef"]
    assert objects.find(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    assert "replicas" not in deployment["spec"], "the autoscaler's number would be undone by each apply"
    stateful = objects.find("StatefulSet", "minio")
    assert objects.find("Service", stateful["spec"]["serviceName"])


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_ports_config_maps_and_volumes_are_there(name: str) -> None:
    objects = rendered(name)
    maps = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
    used = set()
    for pod in objects.pods():
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        claims = {"data"} if pod.name == "minio" else set()
        used |= {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume}
        for container in pod.containers:
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= set(volumes) | claims
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in ports
            for variable in container["env"]:
                source = variable.get("valueFrom", {}).get("configMapKeyRef")
                if source is not None:
                    assert source["key"] in maps[source["name"]]
                    used.add(source["name"])
    assert used == set(maps)
    for service in (item for item in objects if item["kind"] == "Service"):
        pod = objects.pod(service["metadata"]["name"])
        ports = {port["name"] for container in pod.containers for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_requests_and_limits_are_quantities_and_requests_are_not_above(name: str) -> None:
    for pod in rendered(name).pods():
        for container in pod.containers:
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(requests) == set(limits)
            for resource, text in requests.items():
                assert 0 < quantity(text) <= quantity(limits[resource]), (container["name"], resource)
            assert quantity(limits["memory"]) >= 64 * _MEBIBYTE


@pytest.mark.parametrize("text", ["128mi", "-1", "1 Gi", "Mi", "1e"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        quantity(text)


def test_a_rollout_takes_no_pod_away_before_another_is_ready() -> None:
    strategy = rendered("base").find("Deployment", "diabetes-risk-model")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    spec = rendered("base").pod("diabetes-risk-model").spec
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < pause < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_images_are_pinned_and_strangers_by_digest(name: str) -> None:
    for image in (container["image"] for pod in rendered(name).pods() for container in pod.containers):
        path, _, digest = image.partition("@")
        _, separator, tag = path.rpartition("/")[2].partition(":")
        assert separator, image
        assert tag not in ("", "latest"), image
        if "minio/" in image:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest), image


def test_a_change_of_what_a_config_map_holds_changes_its_name() -> None:
    for item in (item for item in rendered("base") if item["kind"] == "ConfigMap"):
        assert re.search(r"-[bcdfghkmt24-9]{10}$", item["metadata"]["name"])


@pytest.mark.parametrize("name", FOLDERS)
def test_no_secret_is_rendered(name: str) -> None:
    objects = build(FOLDER / name)
    assert "Secret" not in {kind for kind, _ in objects.kinds()}
    for item in objects:
        assert not _SECRET.search(yaml.safe_dump(item)), item["metadata"]["name"]
    for container in (container for pod in objects.pods() for container in pod.containers):
        for variable in container.get("env", []):
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|ROOT_USER", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable["name"]


def test_no_secret_is_in_a_file() -> None:
    files = [path for folder in (FOLDER, ROOT / "configuration") for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert not _SECRET.search(path.read_text()), path.name


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----",
        "MINIO_ROOT_PASSWORD: c3VwZXJzZWNyZXQ=",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI",
        "hmac-sha512:" + "a" * 40,
    ],
)
def test_a_secret_would_be_seen(text: str) -> None:
    assert _SECRET.search(text)


def test_the_overlays_change_what_they_say_and_nothing_else() -> None:
    assert _changed("minikube") == {("HorizontalPodAutoscaler", "diabetes-risk-model"), ("StatefulSet", "minio")}
    assert _changed("gke") == {
        ("Deployment", "diabetes-risk-model"),
        ("Job", "storage"),
        ("NetworkPolicy", "clients"),
        ("Service", "diabetes-risk-model"),
    }


def _changed(name: str) -> set[tuple[str, str]]:
    base, overlay = _by_name(rendered("base")), _by_name(rendered(name))
    assert set(base) == set(overlay)
    return {key for key in base if base[key] != overlay[key]}


def _by_name(objects: Manifests) -> dict[tuple[str, str], Any]:
    """Return the objects without what readers fill into parameters.env, and the name that follows from it."""
    parameters = objects.find("ConfigMap", "model-parameters")
    neutral = read(yaml.safe_dump_all(objects).replace(parameters["metadata"]["name"], "model-parameters"))
    neutral.find("ConfigMap", "model-parameters").pop("data")
    return dict(zip(neutral.kinds(), neutral, strict=True))


def test_the_load_balancer_lets_in_only_the_addresses_that_the_policy_lets_in() -> None:
    objects = rendered("gke")
    service = objects.find("Service", "diabetes-risk-model")["spec"]
    assert service["type"] == "LoadBalancer"
    assert service["externalTrafficPolicy"] == "Local"
    (rule,) = objects.find("NetworkPolicy", "clients")["spec"]["ingress"]
    blocks = [source["ipBlock"]["cidr"] for source in rule["from"] if "ipBlock" in source]
    assert blocks == service["loadBalancerSourceRanges"]
    assert "0.0.0.0/0" not in blocks
