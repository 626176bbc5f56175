"""What kubernetes/argocd/README.md tells people to type: names that exist, and what needs no cluster run for real."""

import base64
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from diabetes_risk_model.cli import main as diabetes_risk_model
from diabetes_risk_model.promotion.commands import promote
from diabetes_risk_model.promotion.policies import read_policy
from diabetes_risk_model.promotion.settings import load_settings
from signed_parameters.cli import main as signed_parameters
from tests.kubernetes.manifests import FOLDER, ROOT, Manifests, build
from tests.kubernetes.test_readme import folder, kubectl, run
from tests.kubernetes.test_registry import Running, programs, registry
from tests.kubernetes.test_storage_users import WRITES

__all__ = ["folder", "programs", "registry"]

TEXT = (FOLDER / "argocd" / "README.md").read_text()
SECTIONS = {match[1]: match[2] for match in re.finditer(r"^## (.+)\n((?:(?!^##).*\n)*)", TEXT, re.MULTILINE)}
YOURS, TRUST, SECRETS, ACCOUNTS = "2. What is yours", "3. Whom to trust", "5. The Secrets", "7. The registry's accounts"
VERSION = "9. A version goes to staging, and to production"
TEAMS = ("diabetes-analysts", "heart-analysts")
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ADDRESS = "ssh://git@192.0.2.1/models/deployments.git"


def blocks(section: str) -> list[str]:
    return _BLOCK.findall(SECTIONS[section])


def all_commands() -> str:
    return "\n".join(_BLOCK.findall(TEXT)).replace("\\\n", " ")


def everything() -> Manifests:
    return Manifests(item for name in TEAMS for item in build(FOLDER / "teams" / name))


def fill_in(folder: Path) -> None:
    """Run the second step, for a server of nobody's whose keys are made up."""
    (script,) = blocks(YOURS)
    settings, *lines = script.splitlines()
    assert settings.startswith("export REPOSITORY=")
    kept = [line for line in lines if not line.startswith("ssh-key")]
    assert len(lines) - len(kept) == 2
    run(f"export REPOSITORY={_ADDRESS} HOST=192.0.2.1 ADDRESSES=192.0.2.0/28\n" + "\n".join(kept))


def test_every_path_that_is_named_exists() -> None:
    named = {path.rstrip("/.") for path in re.findall(r"(?<![\w./-])(kubernetes/[\w./-]+)", TEXT)}
    assert len(named) > 12
    for path in named:
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (FOLDER / "argocd" / path).exists(), path


def test_what_is_applied_can_be_built_and_every_object_that_is_named_exists() -> None:
    for path in set(re.findall(r"(?:apply|delete) --kustomize (\S+)", all_commands())):
        assert build(ROOT / path)
    objects = everything()
    named = re.findall(
        r"--namespace (\S+) (?:rollout status|logs|port-forward) (deployment|service)/(\S+)", all_commands()
    )
    assert len(named) >= 6
    for namespace, kind, name in named:
        if (namespace, name) in (("model-services", "minio"), ("diabetes-production", "diabetes-risk-model")):
            continue
        (found,) = [
            item
            for item in objects
            if (item["kind"].lower(), item["metadata"]["name"]) == (kind, name)
            and item["metadata"]["namespace"] == namespace
        ]
        for port in re.findall(rf"service/{name} \d+:(\d+)", all_commands()):
            if kind == "service":
                assert int(port) in [one["port"] for one in found["spec"]["ports"]]


def test_the_images_that_are_built_are_those_of_the_pods() -> None:
    built = dict(re.findall(r"docker build --target (\S+) --tag (\S+) \.", all_commands()))
    assert set(built.values()) == {container["image"] for pod in everything().pods() for container in pod.containers}
    assert set(built.values()) == set(re.findall(r"minikube image load (\S+)", all_commands()))
    for target in built:
        assert re.search(rf"^FROM \S+ AS {target}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_our_commands_and_their_options_exist() -> None:
    lines = [line.split() for line in all_commands().splitlines()]
    ours = [line for line in lines if line and line[0] in ("signed-parameters", "diabetes-risk-model")]
    assert len(ours) == 4
    for program, name, *arguments in ours:
        group = {"signed-parameters": signed_parameters, "diabetes-risk-model": diabetes_risk_model}[program]
        command: Any = promote.commands[arguments[0]] if name == "promote" else group.commands[name]
        options = {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= options, name


def test_the_repository_is_filled_in_everywhere(folder: Path) -> None:
    fill_in(folder)
    texts = [path.read_text() for path in (folder / "kubernetes").rglob("*.yaml")]
    assert not any("git.example.org" in text for text in texts)
    project, applications = build(folder / "kubernetes" / "argocd")
    assert project["spec"]["sourceRepos"] == [_ADDRESS]
    assert applications["spec"]["template"]["spec"]["source"]["repoURL"] == _ADDRESS
    team = build(folder / "kubernetes" / "teams" / "diabetes-analysts")
    assert yaml.safe_load(team.find("ConfigMap", "promotion")["data"]["promotion.yaml"])["repository"] == _ADDRESS
    (rule,) = team.find("NetworkPolicy", "promotion-to-git")["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.0/28"}}]


def test_the_policies_are_those_that_the_watcher_reads(folder: Path) -> None:
    (script,) = blocks(TRUST)
    run(re.sub(r"^git .*\n", "", script, flags=re.MULTILINE))
    for stage, threshold in (("staging", 1), ("production", 2)):
        policy = read_policy((folder / "policies" / f"{stage}.yaml").read_bytes(), stage, "diabetes_risk_model")
        assert (policy.demands.threshold, len(policy.demands.trusted_keys)) == (threshold, threshold)
    for name in ("analyst_signing_key.json", "secrets/x"):
        assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False).returncode == 0


def test_the_secrets_are_made_and_have_the_keys_that_the_pods_ask_for(folder: Path) -> None:
    kubectl()
    make, create = blocks(SECRETS)
    run(make)
    for path in (path for path in (folder / "secrets").rglob("*") if path.is_file()):
        if path.name not in ("id_ed25519.pub", "sshPrivateKey.pub", "MLFLOW_TRACKING_USERNAME"):
            assert path.stat().st_mode & 0o077 == 0, path
    for user in WRITES:
        assert len(list((folder / "secrets" / user).iterdir())) == 2
    script = re.sub(r"(create (?:secret|configmap) )", r"\1--dry-run=client --output=yaml ", create)
    script = re.sub(r"create (--dry-run=client --output=yaml )", r"create \1", script)
    made = [yaml.safe_load(text) for text in re.split(r"(?m)^(?=apiVersion)", run(script)) if text.strip()]
    stored = {(item["metadata"]["namespace"], item["metadata"]["name"]): set(item["data"]) for item in made}
    asked: dict[tuple[str, str], set[str]] = {}
    for item in everything():
        if item["kind"] != "Deployment":
            continue
        namespace, spec = item["metadata"]["namespace"], item["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        for variable in container["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference is not None:
                asked.setdefault((namespace, reference["name"]), set()).add(reference["key"])
        for volume in spec["volumes"]:
            if "secret" in volume:
                asked.setdefault((namespace, volume["secret"]["secretName"]), set())
    asked[("diabetes-promotion", "promotion-ssh")] = {"id_ed25519"}
    asked[("diabetes-promotion", "registry-authority")] = {"ca.crt"}
    for team in TEAMS:
        asked[(team, "registry-tls")] = {"tls.crt", "tls.key"}
    for namespace in ("diabetes-staging", "diabetes-production"):
        asked[(namespace, "model-reader")] = {"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"}
    assert stored == asked
    values = [base64.b64decode(value) for item in made if item["kind"] == "Secret" for value in item["data"].values()]
    assert len(set(values)) == len(values)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_accounts_are_made_and_may_what_they_need(
    folder: Path, registry: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    run(blocks(SECRETS)[0])
    shutil.copy(registry.authority, folder / "secrets" / "diabetes-analysts" / "registry-tls" / "tls.crt")
    (folder / "secrets/diabetes-analysts/registry-admin/MLFLOW_AUTH_ADMIN_PASSWORD").write_text(registry.password)
    (script,) = blocks(ACCOUNTS)
    script = re.sub(r"^kubectl .*\n", "", script, flags=re.MULTILINE)
    assert script.count("https://localhost:5000") == 1
    run(script.replace("https://localhost:5000", registry.url))
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(registry.authority))
    for user, number in (("analyst", "1"), ("promotion", "2")):
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            monkeypatch.setenv(name, (folder / "secrets" / "accounts" / user / name).read_text())
        client = MlflowClient(registry.url)
        client.create_model_version("diabetes_risk_model", "s3://elsewhere/model")
        client.set_registered_model_alias("diabetes_risk_model", "staging", number)
        client.set_model_version_tag("diabetes_risk_model", number, "promotion.staging", "deployed")
    assert registry.status("/api/2.0/mlflow/users/list", user="analyst", password="admin") == 401


def test_the_analysts_settings_differ_by_the_registrys_address_only(folder: Path) -> None:
    first = "\n".join(blocks(VERSION)[0].splitlines()[:2])
    run(f"export REGISTRY=https://localhost:5000\n{first}")
    own = load_settings(folder / "build" / "promotion.yaml")
    watchers = load_settings(FOLDER / "teams" / "diabetes-analysts" / "promotion" / "promotion.yaml")
    assert own.registry_is_local
    assert own.model_copy(update={"registry": watchers.registry}) == watchers


def test_the_variables_that_are_set_are_those_that_something_reads() -> None:
    named = set(re.findall(r"\b(?:export )?((?:AWS|MLFLOW|PROMOTION)_[A-Z_]+)=", all_commands()))
    files = [
        path for package in ("signed_parameters", "diabetes_risk_model") for path in (ROOT / package).rglob("*.py")
    ]
    sources = "\n".join(path.read_text() for path in files)
    for name in named - {"MLFLOW_TRACKING_SERVER_CERT_PATH"}:  # which MLflow's client reads
        assert name in sources or re.sub("_(USERNAME|PASSWORD)$", "_", name) in sources, name


def test_the_steps_are_numbered() -> None:
    numbers = [int(title.split(".")[0]) for title in SECTIONS if title[0].isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))
