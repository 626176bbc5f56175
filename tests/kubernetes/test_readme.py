"""What kubernetes/README.md tells people to type: names that exist, and all that needs no cluster run for real."""

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from diabetes_risk_model.cli import main as diabetes_risk_model
from signed_parameters import SigningKey, VerificationKey
from signed_parameters.cli import main as signed_parameters
from tests.kubernetes.batch import with_batch
from tests.kubernetes.manifests import FOLDER, NAMESPACE, ROOT, Manifests, build, read, rendered

TEXT = (FOLDER / "README.md").read_text()
SECTIONS = {match[1]: match[2] for match in re.finditer(r"^##+ (.+)\n((?:(?!^##).*\n)*)", TEXT, re.MULTILINE)}
ROLLOUT = "11. A rollout to new parameters"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?<![\w./-])((?:kubernetes|configuration|build|secrets|tests)/[\w./-]+)")
_MADE = ("build/", "secrets/")
_CLUSTER_OBJECT = re.compile(r"\b(job|service|deployment)/([a-z][a-z-]+)")
_KINDS = {"job": "Job", "service": "Service", "deployment": "Deployment"}


def blocks(section: str, language: str = "sh") -> list[str]:
    return [text for name, text in _BLOCK.findall(SECTIONS[section]) if name == language]


def all_commands() -> str:
    return "\n".join(text for name, text in _BLOCK.findall(TEXT) if name == "sh").replace("\\\n", " ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the commands change, with a new key in it."""
    for name in ("kubernetes", "configuration"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    (tmp_path / "verification_key.txt").write_text(f"{SigningKey.generate().verification_key}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def run(script: str, *, seconds: float = 120) -> str:
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not here")


def in_the_pods(objects: Manifests) -> dict[str, set[str]]:
    """Return the keys of each Secret that a container refers to."""
    keys: dict[str, set[str]] = {}
    for container in (container for pod in objects.pods() for container in pod.containers):
        for variable in container["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference is not None:
                keys.setdefault(reference["name"], set()).add(reference["key"])
    return keys


def test_every_file_that_is_named_exists() -> None:
    named = {path.rstrip("./") for path in _PATH.findall(TEXT)}
    assert len(named) > 8
    for path in named:
        assert path.startswith(_MADE) or (ROOT / path).exists(), path
    for path in re.findall(r"^\| `([^`]+)`(?:, `([^`]+)`)?", TEXT, re.MULTILINE)[:6]:
        for part in filter(None, path):
            if "/" in part or part.endswith(".Dockerfile"):
                assert (FOLDER / part).exists(), part


def test_every_object_that_is_named_exists(tmp_path: Path) -> None:
    objects = with_batch(tmp_path)
    named = set(_CLUSTER_OBJECT.findall(all_commands()))
    assert len(named) >= 4
    for kind, name in named:
        assert objects.find(_KINDS[kind], name)
    assert set(re.findall(r"--namespace (\S+)", all_commands())) == {NAMESPACE, "default"}
    for name, port in re.findall(r"port-forward service/(\S+) \d+:(\d+)", all_commands()):
        assert int(port) in [one["port"] for one in objects.find("Service", name)["spec"]["ports"]]


def test_the_containers_and_images_that_are_named_exist(tmp_path: Path) -> None:
    images = {container["image"] for pod in with_batch(tmp_path).pods() for container in pod.containers}
    built = set(re.findall(r"docker build .*--tag (\S+)", all_commands()))
    assert built == {image for image in images if "minio" not in image}
    assert built == set(re.findall(r"minikube image load (\S+)", all_commands()))
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(re.findall(r"--target (\S+)", all_commands())) <= set(targets)


def test_our_commands_and_their_options_exist() -> None:
    programs = {"signed-parameters": signed_parameters, "diabetes-risk-model": diabetes_risk_model}
    lines = [line.split() for line in all_commands().splitlines() if line.split(" ")[0] in programs]
    assert len(lines) >= 6
    for program, name, *arguments in lines:
        command: Any = programs[program].commands[name]
        options = {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= options, name


def test_what_apply_answers_names_every_object() -> None:
    (answer,) = blocks("7. Everything else", "text")
    shown = {tuple(line.split(" ")[0].split("/")) for line in answer.splitlines()}
    expected = set()
    for item in rendered("minikube"):
        group = item["apiVersion"].rpartition("/")[0]
        kind = item["kind"].lower() + (f".{group}" if group else "")
        name = re.sub(r"-[a-z0-9]{10}$", "-...", item["metadata"]["name"]) if kind == "configmap" else None
        expected.add((kind, name or item["metadata"]["name"]))
    assert shown == expected


def test_the_secrets_have_the_keys_that_the_pods_ask_for(folder: Path) -> None:
    kubectl()
    (script,) = blocks("5. The Secrets")
    assert "create secret generic $name --from-file=secrets/$name" in script
    script = script.replace("--from-file", "--dry-run=client --output yaml --from-file")
    made = [yaml.safe_load(text) for text in re.split(r"(?m)^(?=apiVersion)", run(script)) if text.strip()]
    assert {item["metadata"]["namespace"] for item in made} == {NAMESPACE}
    assert {item["metadata"]["name"]: set(item["data"]) for item in made} == in_the_pods(rendered("base"))
    values = [base64.b64decode(value).decode() for item in made for value in item["data"].values()]
    assert len(set(values)) == len(values)
    for item in made:
        for name, value in item["data"].items():
            length = 20 if re.search("USER|KEY_ID|MINIO_ACCESS_KEY", name) else 40  # MinIO takes names of 20 at most
            assert re.fullmatch(r"[0-9a-f]+", base64.b64decode(value).decode())
            assert len(base64.b64decode(value)) == length, name
    for path in (path for path in (folder / "secrets").rglob("*") if path.is_file()):
        assert path.stat().st_mode & 0o077 == 0


def test_git_ignores_the_secrets() -> None:
    done = subprocess.run(["git", "check-ignore", "secrets/minio-root/x", "signing_key.json"], cwd=ROOT, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("section", "number", "name"), [("6. Whom to trust", 0, "minikube"), ("Google Kubernetes Engine", 2, "gke")]
)
def test_the_key_reaches_the_pods(folder: Path, section: str, number: int, name: str) -> None:
    script = blocks(section)[number]
    script = re.sub(r"^perl .*\n", "", script, flags=re.MULTILINE).replace("git commit", "true")
    run(script)
    data = build(folder / "kubernetes" / "overlays" / name).find("ConfigMap", "model-parameters")["data"]
    key = VerificationKey.parse(data["PARAMETERS_VERIFICATION_KEYS"])
    assert str(key) == (folder / "verification_key.txt").read_text().strip()
    assert data["MODEL_PARAMETERS_VERSION"] == "2026_11_21"


def test_new_parameters_are_a_commit_and_so_is_going_back(folder: Path) -> None:
    overlay = folder / "kubernetes" / "overlays" / "minikube"
    git = "git -c user.name=Test -c user.email=test@example.org"
    run(f"git init --quiet . && git add kubernetes configuration && {git} commit --quiet --message start")
    before = build(overlay)
    lines = [line for line in blocks(ROLLOUT)[1].splitlines() if not line.startswith("kubectl")]
    assert [line.split(" ")[0] for line in lines] == ["perl", "perl", "git"]
    run("\n".join(lines).replace("git", git))
    shutil.copytree(folder, folder.with_name("after"), symlinks=True)
    after = build(folder.with_name("after") / "kubernetes" / "overlays" / "minikube")
    data = after.find("ConfigMap", "model-parameters")["data"]
    assert data["MODEL_PARAMETERS_VERSION"] == "2026_12_01"
    assert "minimum_serial: 2" in after.find("ConfigMap", "rest-config")["data"]["rest_config.yaml"]
    assert after.pod("diabetes-risk-model") != before.pod("diabetes-risk-model")
    assert after.pod("storage") == before.pod("storage"), "a Job cannot be changed"
    (revert, *_) = blocks("13. A rollback")[0].splitlines()
    run(revert.replace("git", git))
    shutil.copytree(folder, folder.with_name("back"), symlinks=True)
    assert build(folder.with_name("back") / "kubernetes" / "overlays" / "minikube") == before


def test_the_tampering_changes_one_byte_and_keeps_the_envelope(folder: Path) -> None:
    script = blocks("12. A tampered package")[0].partition("\nsigned-parameters")[0]
    package = folder / "build" / "packages" / "diabetes_risk_model-0.1.0-2026_12_01.zip"
    package.parent.mkdir(parents=True)
    package.write_bytes(bytes(100))
    Path(f"{package}.dsse.json").write_text("{}")
    run(script)
    tampered = folder / "build" / "tampered" / package.name
    assert sum(tampered.read_bytes()) == 1
    assert Path(f"{tampered}.dsse.json").read_text() == "{}"


def test_the_address_and_the_project_are_filled_in(folder: Path) -> None:
    (line,) = [line for line in blocks("Google Kubernetes Engine")[2].splitlines() if line.startswith("perl")]
    run("PROJECT=some-project\n" + re.sub(r"\$\(curl[^)]*\)", "198.51.100.7", line))
    objects = build(folder / "kubernetes" / "overlays" / "gke")
    service = objects.find("Service", "diabetes-risk-model")["spec"]
    assert service["loadBalancerSourceRanges"] == ["198.51.100.7/32"]
    (rule,) = objects.find("NetworkPolicy", "clients")["spec"]["ingress"]
    assert {"ipBlock": {"cidr": "198.51.100.7/32"}} in rule["from"]
    pushed = "europe-west1-docker.pkg.dev/$PROJECT/models/$image"
    assert pushed in blocks("Google Kubernetes Engine")[1]
    images = {container["image"] for pod in objects.pods() for container in pod.containers}
    for image in ("diabetes-risk-model:0.1.0", "model-packages:2026_11_21"):
        assert pushed.replace("$PROJECT", "some-project").replace("$image", image) in images


def test_the_values_for_helm_are_those_that_the_chart_knows(folder: Path) -> None:
    helm = os.environ.get("HELM") or shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not here (HELM, or on the PATH)")
    commands = blocks("Helm")[0].replace("\\\n", " ").splitlines()
    for command in commands[:2]:
        options = re.sub(r"--(reuse-values|rollback-on-failure|timeout \S+)", "", command)
        rendering = re.sub(r"^helm (install|upgrade)", f"{helm} template", options)
        objects = read(run(rendering))
        assert "Namespace" not in {kind for kind, _ in objects.kinds()} or "upgrade" in command
        version = objects.find("ConfigMap", "model-parameters")["data"]["MODEL_PARAMETERS_VERSION"]
        assert version in command
    flags = run(f"{helm} upgrade --help")
    assert all(flag in flags for flag in re.findall(r"--[a-z-]+", commands[1]))


def test_files_are_changed_without_an_option_that_differs_between_systems() -> None:
    for text in (TEXT, (FOLDER / "argocd" / "README.md").read_text()):
        assert not re.search(r"sed (--in-place|-i\b)", text)


def test_what_is_asked_of_a_forwarded_port_waits_for_it() -> None:
    for text in (TEXT, (FOLDER / "argocd" / "README.md").read_text()):
        for block in (text for name, text in _BLOCK.findall(text) if name == "sh" and "port-forward" in text):
            for line in block.replace("\\\n", " ").splitlines():
                if re.search(r"\bcurl\b", line):
                    assert "--retry 10 --retry-connrefused" in line


def test_the_steps_are_numbered() -> None:
    numbers = [int(title.split(".")[0]) for title in SECTIONS if title[0].isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))
