"""kubernetes/seldon: objects that fit, pods that the operator makes of them, and an initializer that works in them."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.servers.configuration import model_settings
from signed_parameters.statement import ENVELOPE_SUFFIX
from tests.kubernetes.manifests import FOLDER, ROOT
from tests.kubernetes.model_servers import filled_in, load, seldon_pod, start, validate
from tests.kubernetes.pod_security import violations

RELEASES = ["1.37", "1.33", "1.30"]
INITIALIZED = ["single_model.yaml", "seldon_deployment.yaml", "restricted.yaml"]
DEPLOYMENTS = [*INITIALIZED, "component.yaml"]
SECRETS = ["secret_template.yaml", "secret_rclone_template.yaml"]
VALUES = yaml.safe_load((FOLDER / "seldon" / "helm_values.yaml").read_text())


def graph(item: Any) -> Any:
    return item["spec"]["predictors"][0]["graph"]


BREAKS: list[tuple[str, Callable[[Any], object]]] = [
    ("no predictor", lambda item: item["spec"].update(predictors=[])),
    ("no graph", lambda item: item["spec"]["predictors"][0].pop("graph")),
    ("a node without a name", lambda item: graph(item).pop("name")),
    ("a misspelt field", lambda item: graph(item).update(storageInitialiserImage="a")),
    ("a parameter that is no text", lambda item: graph(item)["parameters"][0].update(value=1)),
    ("an unknown type of parameter", lambda item: graph(item)["parameters"][0].update(type="TEXT")),
    ("a broken child", lambda item: graph(item).update(children=[{"modelUri": "s3://a"}])),
    ("another version", lambda item: item.update(apiVersion="machinelearning.seldon.io/v2")),
    ("half a replica", lambda item: item["spec"]["predictors"][0].update(replicas=0.5)),
]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_object_fits_its_schema(name: str) -> None:
    validate(load("seldon", name))


@pytest.mark.parametrize("name", SECRETS)
def test_the_secrets_fit_theirs_and_hold_none(name: str) -> None:
    template = load("seldon", name)
    for release in RELEASES:
        kubernetes_validate.validate(template, release, strict=True)
    for key, value in template["stringData"].items():
        if re.search("SECRET|ACCESS_KEY", key):
            assert re.fullmatch(r"\$\{[A-Z_]+\}", value), key


@pytest.mark.parametrize("name", DEPLOYMENTS)
@pytest.mark.parametrize(("why", "change"), BREAKS, ids=lambda each: each if isinstance(each, str) else "")
def test_the_schema_refuses_a_broken_copy(name: str, why: str, change: Callable[[Any], object]) -> None:
    item = load("seldon", name)
    change(item)
    with pytest.raises(jsonschema.ValidationError):
        validate(item)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_pod_that_the_operator_makes_fits_the_schema_of_the_release(name: str, release: str) -> None:
    made = seldon_pod(load("seldon", name), VALUES)
    kubernetes_validate.validate(made, release, strict=True)
    volumes = {volume["name"] for volume in made["spec"]["volumes"]}
    for container in (*made["spec"].get("initContainers", []), *made["spec"]["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("name", INITIALIZED)
def test_each_is_given_our_initializer_once(name: str) -> None:
    (container,) = seldon_pod(load("seldon", name), VALUES)["spec"]["initContainers"]
    assert f"--tag {container['image']} ." in (ROOT / "Dockerfile").read_text()
    assert container["args"] == [graph(load("seldon", name))["modelUri"], "/mnt/models"]


def test_only_the_single_model_needs_the_value_of_helm() -> None:
    images = {
        name: seldon_pod(load("seldon", name))["spec"]["initContainers"][0]["image"].partition(":")[0]
        for name in INITIALIZED
    }
    assert images.pop("single_model.yaml") == "rclone-storage-initializer"
    assert set(images.values()) == {"signed-parameters-initializer"}


@pytest.mark.parametrize("name", ["restricted.yaml", "component.yaml"])
def test_these_may_run_in_a_restricted_namespace(name: str) -> None:
    assert violations(seldon_pod(load("seldon", name))) == []


def test_the_others_may_not_as_their_page_says() -> None:
    found = violations(seldon_pod(load("seldon", "seldon_deployment.yaml")))
    assert any("classifier-model-initializer" in violation for violation in found)
    assert "restricted.yaml" in (FOLDER / "seldon" / "README.md").read_text()


@pytest.fixture
def secrets(bucket: Any, s3_server: Any, s3_bucket: str) -> Callable[[str], dict[str, Any]]:
    """What the pods find in the cluster. The storage's address is that of the test."""
    client = s3_server.settings.client()
    for path in (bucket.package, bucket.package.with_name(bucket.package.name + ENVELOPE_SUFFIX)):
        client.fput_object(s3_bucket, path.name, str(path))
    credentials = {"AWS_ACCESS_KEY_ID": s3_server.access_key, "AWS_SECRET_ACCESS_KEY": s3_server.secret_key}

    def make(template: str) -> dict[str, Any]:
        item = load("seldon", template)
        content = filled_in(item, **credentials, VERIFICATION_KEY=str(bucket.key.verification_key))
        content = {name: _here(value, s3_server.url) for name, value in content.items()}
        return {item["metadata"]["name"]: content, "model-reader": credentials}

    return make


def _here(text: str, url: str) -> str:
    return text.replace("http://minio.model-services.svc:9000", url)


def _placed(made: Any, bucket: str, url: str, remote: str = "s3://") -> Any:
    """Lead a pod to the bucket of the test."""
    (container,) = made["spec"]["initContainers"]
    container["args"][0] = container["args"][0].replace("s3://model-files/", f"{remote}{bucket}/")
    for variable in container.get("env", []):
        if "value" in variable:
            variable["value"] = _here(variable["value"], url)
    return made


@pytest.mark.parametrize(
    ("template", "remote"), [("secret_template.yaml", "s3://"), ("secret_rclone_template.yaml", "minio:")]
)
@pytest.mark.parametrize("name", INITIALIZED[:2])
def test_the_folder_of_the_server_is_filled_by_both_contracts(
    name: str, template: str, remote: str, secrets: Any, s3_server: Any, s3_bucket: str, tmp_path: Path
) -> None:
    made = _placed(seldon_pod(load("seldon", name), VALUES), s3_bucket, s3_server.url, remote)
    done = start(made, secrets=secrets(template), maps={}, folder=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "root" / "mnt" / "models").iterdir()] == ["model.joblib"]


def test_with_the_policy_in_a_config_map(
    secrets: Any, bucket: Any, s3_server: Any, s3_bucket: str, tmp_path: Path
) -> None:
    made = _placed(seldon_pod(load("seldon", "restricted.yaml")), s3_bucket, s3_server.url)
    policy = f"name: diabetes_risk_model\nkeys: ['{bucket.key.verification_key}']\n"
    maps = {"diabetes-risk-model-policy": {"policy.yaml": policy}}
    done = start(made, secrets=secrets("secret_template.yaml"), maps=maps, folder=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "root" / "mnt" / "models").iterdir()] == ["model.joblib"]


def test_a_package_of_a_serial_that_is_too_old_is_not_written(
    secrets: Any, s3_server: Any, s3_bucket: str, tmp_path: Path
) -> None:
    made = _placed(seldon_pod(load("seldon", "seldon_deployment.yaml")), s3_bucket, s3_server.url)
    given = secrets("secret_template.yaml")
    content = given["diabetes-risk-model"]
    text = content["SIGNED_PARAMETERS_POLICY_TEXT"]
    content["SIGNED_PARAMETERS_POLICY_TEXT"] = text.replace("minimum_serial: 1", "minimum_serial: 2")
    done = start(made, secrets=given, maps={}, folder=tmp_path / "root")
    assert done.returncode == 1
    assert "RolledBack" in done.stderr
    assert os.listdir(tmp_path / "root" / "mnt" / "models") == []


def test_the_components_settings_are_usable_and_its_variables_are_given(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = load("seldon", "component.yaml")
    (container,) = seldon_pod(item)["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], "value")
    monkeypatch.setenv("PARAMETERS_VERIFICATION_KEYS", str(bucket.key.verification_key))
    settings = Settings.from_keywords(model_settings({"configuration": str(FOLDER / "seldon" / "model.yaml")}))
    assert settings.location == "s3://model-files"
    (parameter,) = graph(item)["parameters"]
    (mount,) = container["volumeMounts"]
    assert (parameter["name"], parameter["value"]) == ("configuration", f"{mount['mountPath']}/model.yaml")
    given = {variable["name"] for variable in container["env"]}
    needed = set(re.findall(r"\$\{(\w+)\}", (FOLDER / "seldon" / "model.yaml").read_text()))
    assert needed == given


def test_envsubst_fills_the_templates_in(tmp_path: Path) -> None:
    """As the page says: with the shell's variables, and nothing else changed."""
    for name in SECRETS:
        path = FOLDER / "seldon" / name
        names = re.findall(r"\$\{(\w+)\}", path.read_text())
        script = f"envsubst < {path}" if _has_envsubst() else None
        if script is None:
            pytest.skip("envsubst is not installed")
        done = subprocess.run(
            ["bash", "-c", script],
            env={"PATH": os.environ["PATH"], **dict.fromkeys(names, "value")},
            capture_output=True,
            text=True,
            check=True,
        )
        filled = yaml.safe_load(done.stdout)["stringData"]
        assert filled == filled_in(load("seldon", name), **dict.fromkeys(names, "value"))
        assert json.dumps(filled)


def _has_envsubst() -> bool:
    return subprocess.run(["bash", "-c", "command -v envsubst"], capture_output=True).returncode == 0


def test_every_file_and_object_that_the_page_names_exists() -> None:
    text = (ROOT / "kubernetes" / "seldon" / "README.md").read_text()
    named = set(re.findall(r"(?<![\w./-])((?:kubernetes|tests)/[\w./-]+[\w])", text))
    assert len(named) >= 5
    for path in named:
        assert (ROOT / path).exists(), path
    files = set(re.findall(r"`([\w.-]+\.(?:yaml|Dockerfile))`", text)) - {"policy.yaml"}
    assert files == {path.name for path in (ROOT / "kubernetes" / "seldon").iterdir()} - {
        "README.md",
        "component.Dockerfile.dockerignore",
    }
