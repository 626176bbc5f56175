"""The chart is the kustomize base in another form; its schema refuses values that would open something."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kubernetes.manifests import FOLDER, NAMESPACE, Manifests, read, rendered

CHART = FOLDER / "chart"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def helm() -> str:
    found = os.environ.get("HELM") or shutil.which("helm")
    if found is None:
        pytest.skip("helm is not here (HELM, or on the PATH)")
    return found


def run(helm: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def template(helm: str, *values: str, namespace: str = NAMESPACE, chart: Path = CHART) -> Manifests:
    options = [option for value in values for option in ("--set", value)]
    done = run(helm, "template", "diabetes-risk-model", chart, "--namespace", namespace, *options)
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


def by_name(objects: Manifests) -> dict[tuple[str, str], object]:
    assert len(set(objects.kinds())) == len(objects)
    return dict(zip(objects.kinds(), objects, strict=True))


def test_helm_finds_nothing_to_complain_about(helm: str) -> None:
    done = run(helm, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


def test_with_its_defaults_it_equals_the_base_object_by_object(helm: str) -> None:
    chart, base = by_name(template(helm)), by_name(rendered("base"))
    assert set(chart) == set(base)
    for name, item in base.items():
        assert chart[name] == item, name


def test_with_the_values_of_gke_it_equals_that_overlay(helm: str) -> None:
    overlay = rendered("gke")
    (service,) = overlay.pod("diabetes-risk-model").containers
    upload = overlay.pod("storage").containers[-1]
    ranges = overlay.find("Service", "diabetes-risk-model")["spec"]["loadBalancerSourceRanges"]
    parameters = overlay.find("ConfigMap", "model-parameters")["data"]
    values = [
        f"image.repository={service['image'].rpartition(':')[0]}",
        f"storageJob.packages.repository={upload['image'].rpartition(':')[0]}",
        "service.type=LoadBalancer",
        f"service.addresses={{{','.join(ranges)}}}",
        "topologyKeys={kubernetes.io/hostname,topology.kubernetes.io/zone}",
        f"parameters.version={parameters['MODEL_PARAMETERS_VERSION']}",
    ]
    if keys := parameters["PARAMETERS_VERIFICATION_KEYS"]:
        values.append(f"parameters.verificationKeys={{{keys}}}")
    assert by_name(template(helm, *values)) == by_name(overlay)


def test_a_packaged_chart_holds_the_same(helm: str, tmp_path: Path) -> None:
    done = run(helm, "package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (packed,) = tmp_path.iterdir()
    assert template(helm, chart=packed) == template(helm)


def test_another_namespace_is_used_throughout(helm: str) -> None:
    objects = template(helm, namespace="elsewhere")
    assert ("Namespace", "elsewhere") in objects.kinds()
    assert {item["metadata"].get("namespace", "elsewhere") for item in objects} == {"elsewhere"}
    for name, text in objects.find("ConfigMap", "rest-config")["data"].items():
        assert "http://minio.elsewhere.svc:9000" in text, name
        assert NAMESPACE not in text
    (step, upload) = objects.pod("storage").containers
    for container in (step, upload):
        assert {"name": "AWS_ENDPOINT_URL", "value": "http://minio.elsewhere.svc:9000"} in container["env"]


def test_other_parameters_roll_the_pods_and_nothing_else(helm: str) -> None:
    before = by_name(template(helm))
    after = by_name(
        template(helm, "parameters.version=2026_12_01", "parameters.verificationKeys={ed25519:a,ed25519:b}")
    )
    deployment = ("Deployment", "diabetes-risk-model")
    assert before[deployment] != after[deployment]
    assert {name for name in before if name[0] != "ConfigMap" and before[name] != after[name]} == {deployment}
    (parameters,) = [name for name in after if name[1].startswith("model-parameters-")]
    assert parameters not in before
    item = after[parameters]
    assert isinstance(item, dict)
    assert item["data"] == {
        "MODEL_PARAMETERS_VERSION": "2026_12_01",
        "PARAMETERS_VERIFICATION_KEYS": "ed25519:a,ed25519:b",
    }


def test_a_digest_is_what_counts(helm: str) -> None:
    (container,) = template(helm, f"image.digest={DIGEST}").pod("diabetes-risk-model").containers
    assert container["image"] == f"diabetes-risk-model:0.1.0@{DIGEST}"


def test_what_is_switched_off_is_not_there(helm: str) -> None:
    objects = template(helm, "namespace.create=false", "storageJob.enabled=false")
    assert not {"Namespace", "Job"} & {kind for kind, _ in objects.kinds()}
    assert len(objects) == len(template(helm)) - 2


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("service.type=LoadBalancer", "/service/addresses"),
        ("service.type=NodePort", "/service/type"),
        ("service.addresses={everywhere}", "/service/addresses/0"),
        ("clients.namespaceLabels=null", "clients"),
        ("image.tag=latest", "/image/tag"),
        ("image.digest=sha256:12", "/image/digest"),
        ("image.name=other", "/image"),
        ("imagee.tag=1", "imagee"),
        ("parameters.verificationKeys={hmac-sha512:abcdef}", "/parameters/verificationKeys/0"),
        ("parameters.version=", "/parameters/version"),
        ("parameters.version=a b", "/parameters/version"),
        ("resources.limits.memory=much", "/resources/limits/memory"),
        ("autoscaling.minReplicas=0", "/autoscaling/minReplicas"),
        ("storageJob.enabled=sometimes", "/storageJob/enabled"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(helm: str, value: str, place: str) -> None:
    done = run(helm, "template", "x", CHART, "--namespace", NAMESPACE, "--set", value)
    assert done.returncode != 0, done.stdout[:500]
    assert "schema" in done.stderr
    assert place in done.stderr, done.stderr
