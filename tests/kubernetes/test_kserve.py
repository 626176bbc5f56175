"""kubernetes/kserve: objects that fit, a pod that may run, and an initializer that does in it what it should."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from signed_parameters.statement import ENVELOPE_SUFFIX
from tests.kubernetes.manifests import ROOT, quantity
from tests.kubernetes.model_servers import filled_in, kserve_pod, load, start, validate
from tests.kubernetes.pod_security import violations

RELEASES = ["1.37", "1.33", "1.30"]
CONTAINER = "cluster_storage_container.yaml"
SERVICES = {"inference_service_sklearn.yaml": "model.joblib", "inference_service_onnx.yaml": "model.onnx"}
# What KServe's own container claims, as it is installed.
CLAIMED_PREFIXES = ("gs://", "s3://", "hdfs://", "webhdfs://", "hf://")
CLAIMED_EXPRESSIONS = (r"https://(.+?).blob.core.windows.net/(.+)", r"https?://(.+)/(.+)")

BREAKS: list[tuple[str, str, Callable[[Any], object]]] = [
    (CONTAINER, "another name of the container", lambda item: item["spec"]["container"].update(name="verifier")),
    (CONTAINER, "no formats", lambda item: item["spec"].update(supportedUriFormats=[])),
    (
        CONTAINER,
        "formats in the container",
        lambda item: item["spec"]["container"].update(formats=item["spec"].pop("supportedUriFormats")),
    ),
    (CONTAINER, "a prefix and an expression", lambda item: item["spec"]["supportedUriFormats"][0].update(regex="x")),
    (CONTAINER, "another version", lambda item: item.update(apiVersion="serving.kserve.io/v1beta1")),
    (CONTAINER, "another workload", lambda item: item["spec"].update(workloadType="job")),
    ("inference_service_onnx.yaml", "no format", lambda item: item["spec"]["predictor"]["model"].pop("modelFormat")),
    (
        "inference_service_onnx.yaml",
        "a misspelt field",
        lambda item: item["spec"]["predictor"]["model"].update(storageURI="s3://a"),
    ),
    ("inference_service_onnx.yaml", "a field too high", lambda item: item["spec"].update(volumes=[])),
    (
        "inference_service_onnx.yaml",
        "no address",
        lambda item: item["spec"]["predictor"]["model"].update(storageUri="a"),
    ),
    ("inference_service_onnx.yaml", "a number", lambda item: item["metadata"]["annotations"].update(a=1)),
]


@pytest.fixture
def pod() -> Callable[..., Any]:
    def make(service: str) -> Any:
        return kserve_pod(load("kserve", CONTAINER), load("kserve", service), load("kserve", "secret_template.yaml"))

    return make


def test_every_object_fits_its_schema() -> None:
    for name in (CONTAINER, *SERVICES):
        validate(load("kserve", name))
    for release in RELEASES:
        for name in ("service_account.yaml", "secret_template.yaml"):
            kubernetes_validate.validate(load("kserve", name), release, strict=True)


@pytest.mark.parametrize(("name", "why", "change"), BREAKS, ids=lambda each: each if isinstance(each, str) else "")
def test_the_schemas_refuse_a_broken_copy(name: str, why: str, change: Callable[[Any], object]) -> None:
    item = load("kserve", name)
    change(item)
    with pytest.raises(jsonschema.ValidationError):
        validate(item)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("service", SERVICES)
def test_the_pod_that_kserve_makes_fits_the_schema_of_the_release(service: str, release: str, pod: Any) -> None:
    made = pod(service)
    kubernetes_validate.validate(made, release, strict=True)
    made["spec"]["initContainers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, release, strict=True)


@pytest.mark.parametrize("service", SERVICES)
def test_the_initializer_may_run_in_a_restricted_namespace_and_finds_its_volumes(service: str, pod: Any) -> None:
    spec = pod(service)["spec"]
    assert violations({"spec": {"initContainers": spec["initContainers"]}}) == []
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    mounted = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounted == volumes, "Knative refuses a volume that its own container does not mount"
    for kind in ("requests", "limits"):
        for amount in spec["initContainers"][0]["resources"][kind].values():
            assert quantity(amount) > 0


def test_no_address_of_ours_is_claimed_by_kserves_own_container() -> None:
    container = load("kserve", CONTAINER)
    prefixes = [one["prefix"] for one in container["spec"]["supportedUriFormats"]]
    for prefix in prefixes:
        address = f"{prefix}account.blob.core.windows.net/models/package.zip"
        assert not address.startswith(CLAIMED_PREFIXES)
        assert not any(re.search(expression, address) for expression in CLAIMED_EXPRESSIONS)
    assert any(re.search(expression, "signed-https://host/p.zip") for expression in CLAIMED_EXPRESSIONS)
    for service in SERVICES:
        assert load("kserve", service)["spec"]["predictor"]["model"]["storageUri"].startswith(tuple(prefixes))


@pytest.fixture
def surroundings(bucket: Any, s3_server: Any, s3_bucket: str) -> Callable[[Any], Any]:
    """What the pod finds in the cluster. The storage's address and the bucket are those of the test."""
    client = s3_server.settings.client()
    for path in (bucket.package, bucket.package.with_name(bucket.package.name + ENVELOPE_SUFFIX)):
        client.fput_object(s3_bucket, path.name, str(path))
    secret = filled_in(
        load("kserve", "secret_template.yaml"),
        AWS_ACCESS_KEY_ID=s3_server.access_key,
        AWS_SECRET_ACCESS_KEY=s3_server.secret_key,
    )
    policy = f"name: diabetes_risk_model\nkeys: ['{bucket.key.verification_key}']\n"

    def place(made: Any) -> Any:
        (container,) = made["spec"]["initContainers"]
        container["args"][0] = container["args"][0].replace("//model-files/", f"//{s3_bucket}/")
        for variable in container["env"]:
            if "value" in variable:
                host = s3_server.url.removeprefix("http://")
                variable["value"] = variable["value"].replace("minio.model-services.svc:9000", host)
        return {"secrets": {"model-reader": secret}, "maps": {"diabetes-risk-model-policy": {"policy.yaml": policy}}}

    return place


@pytest.mark.parametrize(("service", "file"), SERVICES.items())
def test_the_folder_of_the_server_is_filled_with_what_its_runtime_loads(
    service: str, file: str, pod: Any, surroundings: Any, tmp_path: Path
) -> None:
    made, root = pod(service), tmp_path / "root"
    done = start(made, **surroundings(made), folder=root)
    assert done.returncode == 0, done.stderr
    (found,) = [path for path in (root / "mnt" / "models").rglob("*") if path.is_file()]
    assert found.name == file
    if file == "model.onnx":  # as Triton keeps models: name, version, file
        assert found.relative_to(root / "mnt" / "models").as_posix() == "diabetes_risk_model/1/model.onnx"


def test_without_the_annotation_everything_is_written(pod: Any, surroundings: Any, tmp_path: Path) -> None:
    made = pod("inference_service_onnx.yaml")
    made["metadata"]["annotations"].clear()
    done = start(made, **surroundings(made), folder=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "root" / "mnt" / "models").iterdir())
    assert names == ["manifest.json", "model.onnx", "model.pkl", "model.table"]


def test_a_policy_of_somebody_else_lets_nothing_in(pod: Any, surroundings: Any, tmp_path: Path) -> None:
    made = pod("inference_service_onnx.yaml")
    given = copy.deepcopy(surroundings(made))
    files = given["maps"]["diabetes-risk-model-policy"]
    files["policy.yaml"] = files["policy.yaml"].replace("diabetes_risk_model", "another_model")
    done = start(made, **given, folder=tmp_path / "root")
    assert done.returncode == 1
    assert "NameMismatch" in done.stderr
    assert not list((tmp_path / "root" / "mnt" / "models").iterdir())


def test_the_images_are_those_of_the_dockerfile_and_the_page() -> None:
    image = load("kserve", CONTAINER)["spec"]["container"]["image"]
    assert f"--tag {image} ." in (ROOT / "Dockerfile").read_text()
    assert f"--tag {image} ." in (ROOT / "kubernetes" / "kserve" / "README.md").read_text()


def test_every_file_and_object_that_the_page_names_exists() -> None:
    text = (ROOT / "kubernetes" / "kserve" / "README.md").read_text()
    named = set(re.findall(r"(?<![\w./-])((?:kubernetes|tests)/[\w./-]+[\w])", text))
    assert len(named) >= 5
    for path in named:
        assert (ROOT / path).exists(), path
    files = set(re.findall(r"`([\w.-]+\.(?:yaml|Dockerfile))`", text)) - {"policy.yaml"}
    assert files == {path.name for path in (ROOT / "kubernetes" / "kserve").iterdir()} - {"README.md"}
