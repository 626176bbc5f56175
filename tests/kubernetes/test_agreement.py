"""The manifests agree with the code: ports, paths, variables, settings, names."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import signed_parameters as sp
from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.parameters import package_name
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.service.configuration import read_configuration
from tests.kubernetes.cluster import NotStarted, environment, mounted
from tests.kubernetes.manifests import FOLDER, KUSTOMIZATIONS, ROOT, Manifests, build, rendered

SECRETS = {"model-reader": {"MINIO_ACCESS_KEY": "reader", "MINIO_SECRET_KEY": "reader-secret"}}
VARIABLE = re.compile(r"\$\{(\w+)\}")


def configuration_text(objects: Manifests) -> str:
    """Return the file that REST_CONFIG names in a pod."""
    pod = objects.pod("diabetes-risk-model")
    (container,) = pod.containers
    path = Path(environment(objects, container, SECRETS)["REST_CONFIG"])
    return mounted(objects, pod, container)[path]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The model's settings as a pod reads them, with a key of one's own in parameters.env."""
    objects = rendered("base")
    (container,) = objects.pod("diabetes-risk-model").containers
    key = sp.SigningKey.generate().verification_key
    objects.find("ConfigMap", "model-parameters")["data"]["PARAMETERS_VERIFICATION_KEYS"] = str(key)
    for name, value in environment(objects, container, SECRETS).items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "rest_config.yaml"
    path.write_text(configuration_text(objects))
    (model,) = read_configuration(path).models
    return Settings.from_keywords(model.configuration)


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_the_config_map_is_the_file_in_configuration(name: str) -> None:
    assert configuration_text(rendered(name)) == (ROOT / "configuration" / "kubernetes_rest_config.yaml").read_text()


def test_the_settings_are_read_with_what_a_pod_has(settings: Settings) -> None:
    assert settings.minio_access_key == "reader"
    assert settings.minio_secret_key is not None
    assert settings.minio_secret_key.get_secret_value() == "reader-secret"
    assert settings.minimum_serial >= 1
    assert [key.algorithm for key in settings.trusted_keys] == ["ed25519"]


def test_every_variable_of_the_file_is_set_and_no_other_but_its_path() -> None:
    objects = rendered("base")
    (container,) = objects.pod("diabetes-risk-model").containers
    named = {variable["name"] for variable in container["env"]}
    assert set(VARIABLE.findall(yaml.safe_dump(yaml.safe_load(configuration_text(objects))))) == named - {"REST_CONFIG"}


def test_the_pods_hold_no_key_that_can_sign() -> None:
    for container in (container for pod in rendered("base").pods() for container in pod.containers):
        assert not [one["name"] for one in container["env"] if "SIGNING" in one["name"]]


def test_the_storage_is_where_the_settings_and_the_job_look_for_it(settings: Settings) -> None:
    objects = rendered("base")
    service = objects.find("Service", "minio")
    (port,) = service["spec"]["ports"]
    url = urlsplit(settings.minio_url or "")
    assert (url.scheme, url.hostname) == ("http", f"minio.{service['metadata']['namespace']}.svc")
    assert url.port == port["port"]
    prepare, upload = objects.pod("storage").containers
    assert prepare["command"][-1] == settings.model_files_bucket
    assert upload["command"][-1] == settings.location
    for container in (prepare, upload):
        assert {"name": "AWS_ENDPOINT_URL", "value": settings.minio_url} in container["env"]


def test_the_job_runs_the_script_that_it_mounts() -> None:
    objects = rendered("base")
    pod = objects.pod("storage")
    for container in pod.containers:
        assert Path(container["command"][1]) in mounted(objects, pod, container)


def test_the_probes_ask_for_paths_that_the_service_has() -> None:
    paths: dict[str, Any] = yaml.safe_load((ROOT / "service_contract.yaml").read_text())["paths"]
    (container,) = rendered("base").pod("diabetes-risk-model").containers
    asked = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert set(asked.values()) <= set(paths)
    assert asked == {
        "startup": "/api/health/startup",
        "readiness": "/api/health/ready",
        "liveness": "/api/health",
    }


def test_port_user_and_version_are_those_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    pod = rendered("base").pod("diabetes-risk-model")
    (container,) = pod.containers
    (port,) = container["ports"]
    (service,) = re.findall(r"^FROM base AS service$(.*?)(?=^FROM|\Z)", dockerfile, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^EXPOSE (\d+)$", service, re.MULTILINE) == [str(port["containerPort"])]
    context = pod.spec["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile
    assert container["image"] == f"diabetes-risk-model:{__version__}"
    assert "command" not in container, "the image says what runs"
    assert "args" not in container


def test_the_uploaded_packages_are_of_the_version_that_is_loaded(settings: Settings) -> None:
    (upload,) = rendered("base").pod("storage").spec["containers"]
    assert upload["image"] == f"model-packages:{settings.model_parameters_version}"
    assert f"ARG SERVICE_IMAGE=diabetes-risk-model:{__version__}" in (FOLDER / "packages.Dockerfile").read_text()
    assert settings.model_parameters_version in package_name(settings.model_parameters_version)


def test_there_is_time_to_end_in_peace(tmp_path: Path) -> None:
    spec = rendered("base").pod("diabetes-risk-model").spec
    path = tmp_path / "rest_config.yaml"
    path.write_text(configuration_text(rendered("base")))
    times = read_configuration(path).shutdown
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + times.drain_seconds + times.request_seconds < spec["terminationGracePeriodSeconds"]


def test_a_pod_without_its_secret_starts_and_a_storage_without_its_own_does_not() -> None:
    objects = rendered("base")
    (service,) = objects.pod("diabetes-risk-model").containers
    assert not {"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"} & set(environment(objects, service, {}))
    for pod in ("minio", "storage"):
        with pytest.raises(NotStarted):
            environment(objects, objects.pod(pod).containers[0], {})


def test_a_change_of_the_configuration_rolls_the_pods(tmp_path: Path) -> None:
    before = rendered("base")
    for folder in ("configuration", "kubernetes"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "chart" not in path.parts:
                copy = tmp_path / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    configuration = tmp_path / "configuration" / "kubernetes_rest_config.yaml"
    configuration.write_text(configuration.read_text().replace("minimum_serial: 1", "minimum_serial: 2"))
    after = build(tmp_path / "kubernetes" / "base")
    assert before.pod("diabetes-risk-model") != after.pod("diabetes-risk-model")
    assert before.pod("storage") == after.pod("storage")
