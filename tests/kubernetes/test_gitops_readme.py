"""What kubernetes/argocd/README.md tells people to type: names that exist, and what needs no cluster run for real."""

import base64
import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
from decimal import Decimal
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
from tests.kubernetes.manifests import FOLDER, ROOT, Manifests, build, quantity
from tests.kubernetes.promoted import settings
from tests.kubernetes.reachability import Peer, allowed, pod
from tests.kubernetes.test_readme import folder, kubectl, run
from tests.kubernetes.test_registry import Running, programs, registry
from tests.kubernetes.test_storage_users import SCRIPT, WRITES

__all__ = ["folder", "programs", "registry"]

TEXT = (FOLDER / "argocd" / "README.md").read_text()
SECTIONS = {match[1]: match[2] for match in re.finditer(r"^## (.+)\n((?:(?!^##).*\n)*)", TEXT, re.MULTILINE)}
YOURS, TRUST, SECRETS, ACCOUNTS = "2. What is yours", "3. Whom to trust", "4. The Secrets", "7. The registry's accounts"
NAMESPACES, ARGO_CD, IMAGES = "5. The namespaces, the registry and the watcher", "8. Argo CD", "Your own image registry"
VERSION = "9. A version goes to staging, and to production"
TEAMS = ("diabetes-analysts", "heart-analysts")
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ADDRESS = "ssh://git@192.0.2.1:2222/models/deployments.git"
_BLOCKS = ["192.0.2.0/28", "2001:db8::/32", "198.51.100.7/32"]
# What kube-system asks for on minikube, with Calico and the metrics; and a guess at Argo CD, which asks for none.
SYSTEM_CORES, SYSTEM_MEMORY = Decimal("1.1"), quantity("400Mi") + quantity("1536Mi")


def blocks(section: str) -> list[str]:
    return _BLOCK.findall(SECTIONS[section])


def all_commands() -> str:
    return "\n".join(_BLOCK.findall(TEXT)).replace("\\\n", " ")


def everything() -> Manifests:
    return Manifests(item for name in TEAMS for item in build(FOLDER / "teams" / name))


def fill_in(folder: Path) -> None:
    """Run the second step, for a server of nobody's whose keys are made up."""
    (script,) = blocks(YOURS)
    kept = [line for line in script.splitlines() if not line.startswith(("export", "ssh-key"))]
    assert len(script.splitlines()) - len(kept) == 4
    run(f'export REPOSITORY={_ADDRESS} HOST=192.0.2.1 PORT=2222 ADDRESSES="{" ".join(_BLOCKS)}"\n' + "\n".join(kept))


def test_every_path_that_is_named_exists() -> None:
    named = {path.rstrip("/.") for path in re.findall(r"(?<![\w./-])(kubernetes/[\w./-]+)", TEXT)}
    assert len(named) > 12
    for path in named:
        assert (ROOT / path).exists(), path
    for address in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, heading = address.partition("#")
        page = FOLDER / "argocd" / path
        assert page.exists(), address
        if heading:
            headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
            assert heading in {text.lower().replace(" ", "-") for text in headings}, address


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
    assert len(ours) == 6
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
    watcher = pod("promotion", "diabetes-promotion", team)
    reached = [(address, port) for address in ("192.0.2.1", "198.51.100.7", "203.0.113.7") for port in (22, 2222)]
    reached = [one for one in reached if allowed(team, watcher, Peer(address=one[0]), one[1])]
    assert reached == [("192.0.2.1", 2222), ("198.51.100.7", 2222)]
    (rule,) = team.find("NetworkPolicy", "promotion-to-git")["spec"]["egress"]
    assert [one["ipBlock"]["cidr"] for one in rule["to"]] == _BLOCKS


def test_githubs_answer_becomes_a_list_of_addresses(folder: Path) -> None:
    (script,) = blocks(YOURS)
    (line,) = [line for line in script.splitlines() if line.startswith("export ADDRESSES")]
    answer = json.dumps({"web": ["192.0.2.9/32"], "git": _BLOCKS})
    assert run(f"curl() {{ echo '{answer}'; }}\n{line}\necho $ADDRESSES").split() == _BLOCKS


def test_the_storages_users_are_shown_as_they_are_made() -> None:
    users = runpy.run_path(str(SCRIPT))["USERS"]
    for user, (_, rights) in users.items():
        assert f"\n{user}: {', '.join(rights)}\n" in SECTIONS["6. The storage's users"]


def test_the_policies_are_those_that_the_watcher_reads(folder: Path) -> None:
    analyst, approver, policies = blocks(TRUST)
    machines = []
    for name, script in (("analyst", analyst), ("approver", approver)):
        machine = folder / name
        machine.mkdir()
        run(f"cd {machine}\n{script}")
        machines.append({path.name for path in machine.iterdir()})
        shutil.copy(machine / f"{name}_verification_key.txt", folder)
    assert not machines[0] & machines[1], "each has their own"
    run(re.sub(r"^git .*\n", "", policies, flags=re.MULTILINE))
    for stage, threshold in (("staging", 1), ("production", 2)):
        policy = read_policy((folder / "policies" / f"{stage}.yaml").read_bytes(), stage, "diabetes_risk_model")
        assert (policy.demands.threshold, len(policy.demands.trusted_keys)) == (threshold, threshold)
    for name in ("analyst_signing_key.json", "secrets/x"):
        assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False).returncode == 0


def test_the_secrets_are_made_and_have_the_keys_that_the_pods_ask_for(folder: Path) -> None:
    kubectl()
    (make,), (apply, create) = blocks(SECRETS), blocks(NAMESPACES)
    assert all(line.startswith("kubectl apply --kustomize ") for line in apply.splitlines())
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
    for path in (path for path in (folder / "secrets").rglob("*") if re.search("KEY_ID|_KEY$|PASSWORD", path.name)):
        is_name = path.name in ("AWS_ACCESS_KEY_ID", "MINIO_ACCESS_KEY")  # of which MinIO takes 20 characters
        assert re.fullmatch(r"[0-9a-f]+", path.read_text())
        assert len(path.read_text()) == (20 if is_name else 40), path.name


_SECOND_ANALYST = """
account second
allow second registered_model diabetes_risk_model
allow second experiment $experiment
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_accounts_are_made_and_may_what_they_need(
    folder: Path, registry: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    run(blocks(SECRETS)[0].replace("promotion analyst approver", "promotion analyst approver second"))
    shutil.copy(registry.authority, folder / "secrets" / "diabetes-analysts" / "registry-tls" / "tls.crt")
    (folder / "secrets/diabetes-analysts/registry-admin/MLFLOW_AUTH_ADMIN_PASSWORD").write_text(registry.password)
    (script,) = blocks(ACCOUNTS)
    script = re.sub(r"^kubectl .*\n", "", script, flags=re.MULTILINE)
    assert script.count("https://localhost:5000") == 1
    run(script.replace("https://localhost:5000", registry.url) + _SECOND_ANALYST, seconds=300)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(registry.authority))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

    def client(user: str) -> Any:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        password = (folder / "secrets" / "accounts" / user / "MLFLOW_TRACKING_PASSWORD").read_text()
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        return MlflowClient(registry.url)

    experiment = client("analyst").get_experiment_by_name("diabetes_risk_model").experiment_id
    for number, user in enumerate(("analyst", "second"), 1):
        analyst = client(user)
        run_id = analyst.create_run(experiment).info.run_id
        analyst.log_text(run_id, user, "card.md")
        analyst.create_model_version("diabetes_risk_model", "s3://elsewhere/model", run_id)
        analyst.set_registered_model_alias("diabetes_risk_model", "staging", str(number))
    for user in ("approver", "promotion"):
        with pytest.raises(MlflowException, match="Permission denied"):
            client(user).create_run(experiment)
    client("approver").set_registered_model_alias("diabetes_risk_model", "production", "1")
    client("promotion").set_model_version_tag("diabetes_risk_model", "1", "promotion.staging", "deployed")
    assert registry.status("/api/2.0/mlflow/users/list", user="analyst", password="admin") == 401


def test_the_analysts_settings_differ_by_the_registrys_address_only(folder: Path) -> None:
    (line,) = [line for line in blocks(VERSION)[0].splitlines() if line.startswith("sed ")]
    run(f"mkdir -p build\nexport REGISTRY=https://localhost:5000\n{line}")
    own = load_settings(folder / "build" / "promotion.yaml")
    watchers = load_settings(FOLDER / "teams" / "diabetes-analysts" / "promotion" / "promotion.yaml")
    assert own.registry_is_local
    assert own.model_copy(update={"registry": watchers.registry}) == watchers


def test_analyst_and_approver_have_a_key_and_accounts_each() -> None:
    _, analyst, looks, signs, *_ = blocks(VERSION)
    for name, storage, script in (("analyst", "publisher", analyst), ("approver", "approver", looks + signs)):
        assert set(re.findall(r"diabetes-analysts/(\w+)/AWS_", script)) == {storage}
        assert set(re.findall(r"--key (\S+)", script)) == {f"{name}_signing_key.json"}
        assert set(re.findall(r"(?:USERNAME=|accounts/)(\w+)", script)) == {name}
        assert set(re.findall(r"--alias (\w+)", script)) == {"staging" if name == "analyst" else "production"}


def test_what_argo_cd_is_installed_from_is_checked_first(folder: Path) -> None:
    """With a file in the place of what is fetched: one that has the digest is applied, and another is not."""
    (script, *_) = blocks(ARGO_CD)
    fetched, content = re.findall(r"https://\S+", script), "kind: Namespace"
    assert fetched == ["https://raw.githubusercontent.com/argoproj/argo-cd/v3.6.1/manifests/install.yaml"]
    for name in ("app_project", "application", "application_set"):
        schema = json.loads((ROOT / "tests" / "kubernetes" / "crds" / f"{name}.json").read_text())
        assert schema["$comment"].startswith("Argo CD v3.6.1, ")
    (digest,) = re.findall(r"[0-9a-f]{64}", script)
    install = script[: script.index("kubectl --namespace argocd")]
    stubs = f"curl() {{ printf '{content}' > build/argocd.yaml; }}\nkubectl() {{ echo \"$*\"; }}\n"
    good = install.replace(digest, hashlib.sha256(content.encode()).hexdigest())
    assert "--filename build/argocd.yaml" in run(stubs + good)
    assert "--filename" not in run(f"{stubs}set +e\n{install}true")


def test_argo_cd_gets_the_known_hosts_and_a_repository_of_one_project(folder: Path) -> None:
    kubectl()
    (script, *_) = blocks(ARGO_CD)
    script = script[script.index("kubectl --namespace argocd create") : script.index("kubectl apply --kustomize")]
    script = script.replace(" |\n  kubectl apply --server-side --force-conflicts --filename -", "").replace("\\\n", "")
    label, made = "argocd.argoproj.io/secret-type=repository", "create secret generic deployments"
    assert f"kubectl --namespace argocd label secret deployments {label}\n" in script
    script = re.sub(r"^kubectl --namespace argocd label .*\n", "", script, flags=re.MULTILINE)
    script = script.replace(made, f"{made} --dry-run=client --output=yaml")
    key = folder / "secrets" / "argocd" / "deployments" / "sshPrivateKey"
    key.parent.mkdir(parents=True)
    key.write_text("a key")
    hosts = folder / "kubernetes" / "teams" / "diabetes-analysts" / "promotion" / "known_hosts"
    hosts.write_text("192.0.2.1 ssh-ed25519 AAAA\n")
    config, secret = map(yaml.safe_load, re.split(r"(?m)^(?=apiVersion)", run(f"REPOSITORY={_ADDRESS}\n{script}"))[1:])
    assert config["metadata"]["labels"] == {"app.kubernetes.io/part-of": "argocd"}, "else Argo CD does not read it"
    assert (config["metadata"]["namespace"], config["metadata"]["name"]) == ("argocd", "argocd-ssh-known-hosts-cm")
    assert config["data"] == {"ssh_known_hosts": hosts.read_text()}
    kept = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    project = yaml.safe_load((FOLDER / "argocd" / "project.yaml").read_text())["metadata"]["name"]
    assert kept == {"type": "git", "url": _ADDRESS, "project": project, "sshPrivateKey": "a key"}


def test_all_that_is_applied_fits_the_machine_that_is_started() -> None:
    """What pods ask for: as many as the autoscaler makes at least, and one more of each stage at a rollout."""
    (cores, gigabytes) = re.findall(r"minikube start --cni=calico --cpus=(\d+) --memory=(\d+)g", all_commands())[0]
    stages = [build(FOLDER / "promotion" / "stage") for _ in settings()["stages"]]
    applied = set(re.findall(r"kubectl apply --kustomize (\S+)", all_commands())) - {"kubernetes/argocd"}
    assert len(applied) == 3
    parts = [build(FOLDER / "overlays" / "minikube"), *stages, *(build(ROOT / path) for path in applied)]
    taken = {"cpu": SYSTEM_CORES, "memory": SYSTEM_MEMORY}
    for objects in parts:
        scaled = [item["spec"]["minReplicas"] for item in objects if item["kind"] == "HorizontalPodAutoscaler"]
        for item in objects:
            if item["kind"] not in ("Deployment", "StatefulSet"):  # the Job is done by then
                continue
            (count,) = [item["spec"]["replicas"]] if "replicas" in item["spec"] else scaled
            count += 1 if objects in stages else 0
            for container in item["spec"]["template"]["spec"]["containers"]:
                for resource in taken:
                    taken[resource] += count * quantity(container["resources"]["requests"][resource])
    assert Decimal(cores) - 1 < taken["cpu"] <= Decimal(cores)
    assert taken["memory"] <= quantity(f"{gigabytes}Gi")


def test_images_of_ones_own_registry_are_those_that_run(folder: Path) -> None:
    digest = "sha256:" + "a" * 64
    texts = re.findall(r"^```yaml\n(.*?)^```", SECTIONS[IMAGES], re.MULTILINE | re.DOTALL)
    (script,), places = blocks(IMAGES), ["promotion/stage", "teams/diabetes-analysts"]
    (registry_address,) = re.findall(r"IMAGES=(\S+)", script)
    for place, text in zip(places, texts, strict=True):
        assert f"`kubernetes/{place}/kustomization.yaml`" in SECTIONS[IMAGES]
        path = folder / "kubernetes" / place / "kustomization.yaml"
        path.write_text(path.read_text() + text.replace("sha256:...", digest))
        images = images_of(path.parent)
        names = {image.partition(":")[0] for image in images_of(FOLDER / place)}
        assert images == {f"{registry_address}/{name}@{digest}" for name in names}
        assert names <= set(re.findall(r"diabetes-risk-model[\w-]*", script))


def images_of(place: Path) -> set[str]:
    return {container["image"] for pod in build(place).pods() for container in pod.containers}


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
