"""kubernetes/argocd: objects that fit, stages that it can build, and a project that lets nothing else through."""

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from diabetes_risk_model.promotion.local_registry import LocalRegistry
from tests.diabetes_risk_model.promotion.conftest import World, git, registry_server
from tests.kubernetes.manifests import FOLDER, Manifest, Manifests, build, read
from tests.kubernetes.model_servers import load, validate
from tests.kubernetes.pod_security import violations
from tests.kubernetes.promoted import TEAM, promoted_world, settings
from tests.kubernetes.reachability import open_network

__all__ = ["registry_server"]

RELEASES = ["1.37", "1.33", "1.30"]
FILES = ["project.yaml", "application.yaml", "application_set.yaml"]
BREAKS: list[tuple[str, str, Callable[[Any], object]]] = [
    ("project.yaml", "a misspelt list", lambda item: item["spec"].update(clusterResourcesWhitelist=[])),
    (
        "project.yaml",
        "a name, where only kinds are listed",
        lambda item: item["spec"]["namespaceResourceWhitelist"][0].update(name="rest-config"),
    ),
    ("project.yaml", "a kind without a group", lambda item: item["spec"]["namespaceResourceWhitelist"][0].pop("group")),
    ("application.yaml", "no project", lambda item: item["spec"].pop("project")),
    ("application.yaml", "a field too high", lambda item: item["spec"].update(automated={})),
    (
        "application.yaml",
        "a text for a switch",
        lambda item: item["spec"]["syncPolicy"]["automated"].update(prune="yes"),
    ),
    ("application.yaml", "an unknown option", lambda item: item["spec"]["syncPolicy"]["syncOptions"].append("Prune")),
    ("application.yaml", "no unit", lambda item: item["spec"]["syncPolicy"]["retry"]["backoff"].update(duration="10")),
    ("application_set.yaml", "no generator", lambda item: item["spec"].update(generators=[])),
    ("application_set.yaml", "another option", lambda item: item["spec"].update(goTemplateOptions=["missingkey"])),
    ("application_set.yaml", "another policy", lambda item: item["spec"]["syncPolicy"].update(applicationsSync="keep")),
    ("application_set.yaml", "a field too high", lambda item: item.update(template={})),
]


def refused(project: Manifest, source: str, namespace: str, objects: Manifests) -> list[str]:
    """Return why a project does not let an application through: its source, its place, its objects."""
    spec = project["spec"]
    places = [one["namespace"] for one in spec["destinations"] if one["server"] == "https://kubernetes.default.svc"]
    kinds = {(one["group"], one["kind"]) for one in spec["namespaceResourceWhitelist"]}
    reasons = [] if any(fnmatch.fnmatch(source, one) for one in spec["sourceRepos"]) else [f"source {source}"]
    reasons += [] if any(fnmatch.fnmatch(namespace, one) for one in places) else [f"destination {namespace}"]
    assert spec["clusterResourceWhitelist"] == []
    for item in objects:
        kind, group = item["kind"], item["apiVersion"].rpartition("/")[0]
        if "namespace" not in item["metadata"]:
            reasons.append(f"cluster-wide {kind}")
        elif (group, kind) not in kinds:
            reasons.append(f"kind {kind}")
        elif not any(fnmatch.fnmatch(item["metadata"]["namespace"], one) for one in places):
            reasons.append(f"namespace {item['metadata']['namespace']}")
    return reasons


def template(directories: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Let the real template engine make Applications, with what Argo CD gives for each directory of a repository."""
    helm = os.environ.get("HELM") or shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not here (HELM, or on the PATH)")
    made = _template()
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: applications\nversion: 0.1.0\n")
    text = f"{{{{- range .Values.found }}}}\n---\n{yaml.safe_dump(made)}{{{{- end }}}}\n"
    (folder / "templates" / "applications.yaml").write_text(text)
    found = [
        {"path": {"path": path, "basename": path.rpartition("/")[2], "segments": path.split("/")}}
        for path in directories
    ]
    (folder / "values.yaml").write_text(yaml.safe_dump({"found": found}))
    return subprocess.run([helm, "template", "x", folder], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def directories() -> list[str]:
    return [f"deployments/diabetes_risk_model/{stage}" for stage in settings()["stages"]]


@pytest.mark.parametrize("name", FILES)
def test_every_object_fits_its_schema(name: str) -> None:
    validate(load("argocd", name))


def test_what_is_applied_fits_too_and_is_where_argo_cd_looks() -> None:
    objects = build(FOLDER / "argocd")
    assert objects.kinds() == [("AppProject", "diabetes-analysts"), ("ApplicationSet", "promoted")]
    for item in [*objects, *(load("argocd", name) for name in FILES)]:
        validate(item)
        assert item["metadata"]["namespace"] == "argocd"


@pytest.mark.parametrize(("name", "why", "change"), BREAKS, ids=lambda each: each if isinstance(each, str) else "")
def test_the_schemas_refuse_a_broken_copy(name: str, why: str, change: Callable[[Any], object]) -> None:
    item = load("argocd", name)
    change(item)
    with pytest.raises(jsonschema.ValidationError):
        validate(item)


def test_the_set_makes_one_application_for_each_stage(directories: list[str], tmp_path: Path) -> None:
    done = template(directories, tmp_path / "chart")
    assert done.returncode == 0, done.stderr
    made = {item["metadata"]["name"]: item for item in read(done.stdout)}
    assert set(made) == {"diabetes-risk-model-staging", "diabetes-risk-model-production"}
    for item in made.values():
        validate({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", **item})
    for stage, fields in settings()["stages"].items():
        spec = made[f"diabetes-risk-model-{stage}"]["spec"]
        assert spec["destination"]["namespace"] == fields["namespace"]
        assert (spec["source"]["repoURL"], spec["source"]["targetRevision"]) == (settings()["repository"], "main")


def test_the_application_of_one_stage_is_the_one_that_the_set_makes(directories: list[str], tmp_path: Path) -> None:
    done = template(directories, tmp_path / "chart")
    alone = load("argocd", "application.yaml")
    (made,) = [item for item in read(done.stdout) if item["metadata"]["name"] == alone["metadata"]["name"]]
    assert made["spec"] == alone["spec"]


def test_a_newer_commit_ends_the_retries_of_a_bad_one() -> None:
    for spec in (load("argocd", "application.yaml")["spec"], _template()["spec"]):
        assert spec["syncPolicy"]["retry"]["refresh"] is True


def _template() -> Manifest:
    found: Manifest = load("argocd", "application_set.yaml")["spec"]["template"]
    return found


def test_a_directory_that_is_not_as_expected_stops_the_set(tmp_path: Path) -> None:
    done = template(["deployments"], tmp_path / "chart")
    assert done.returncode != 0
    assert "out of range" in done.stderr or "index" in done.stderr
    assert load("argocd", "application_set.yaml")["spec"]["goTemplateOptions"] == ["missingkey=error"]


def test_the_generator_finds_the_folders_that_the_watcher_writes(directories: list[str]) -> None:
    (generator,) = load("argocd", "application_set.yaml")["spec"]["generators"]
    (pattern,) = [one["path"] for one in generator["git"]["directories"]]
    assert pattern.count("/") == 2
    assert all(fnmatch.fnmatch(path, pattern) for path in directories)
    assert not fnmatch.fnmatch("policies/staging.yaml", pattern)


def test_nothing_is_deleted_with_a_folder_or_with_the_set_and_nothing_makes_a_namespace() -> None:
    spec = load("argocd", "application_set.yaml")["spec"]
    assert spec["syncPolicy"] == {"applicationsSync": "create-update", "preserveResourcesOnDeletion": True}
    assert "finalizers" not in spec["template"]["metadata"]
    assert "CreateNamespace=false" in spec["template"]["spec"]["syncPolicy"]["syncOptions"]


@pytest.fixture(scope="module")
def committed(registry_server: LocalRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with promoted_world(tmp_path_factory.mktemp("committed"), registry_server) as world:
        yield world


@pytest.fixture
def clone(committed: World, tmp_path: Path) -> tuple[Path, World]:
    """A clone of the repository that the watcher has committed to."""
    target = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(committed.bare), str(target))
    return target, committed


def test_argo_cd_can_build_what_the_watcher_commits_and_the_project_lets_it_through(
    clone: tuple[Path, World],
) -> None:
    """As its repo-server does it: `kustomize build` of the folder in a clone, with the usual load restrictions."""
    project, (folder, world) = load("argocd", "project.yaml"), clone
    for stage, fields in settings()["stages"].items():
        objects = build(folder / "deployments" / world.model / stage)
        assert refused(project, settings()["repository"], fields["namespace"], objects) == []
        for release in RELEASES:
            for item in objects:
                assert kubernetes_validate.validate(item, release, strict=True) == release
        (pod,) = objects.pods()
        assert violations(pod.template) == []
        rest = yaml.safe_load(objects.find("ConfigMap", "rest-config")["data"]["rest_config.yaml"])
        assert rest["models"][0]["configuration"]["minio_url"] == fields["minio_url"]
        assert objects.find("ConfigMap", "model-parameters")["data"]["MINIMUM_SERIAL"] == "1"
        used = {(item["apiVersion"].rpartition("/")[0], item["kind"]) for item in objects}
        assert used == {(one["group"], one["kind"]) for one in project["spec"]["namespaceResourceWhitelist"]}
        people = build(TEAM)
        ours = {(item["kind"], item["metadata"]["name"]) for item in objects}
        theirs = {
            (item["kind"], item["metadata"]["name"])
            for item in people
            if item["metadata"].get("namespace") == fields["namespace"]
        }
        assert theirs
        assert not ours & theirs, "Argo CD and people would undo each other's changes"


def test_a_commit_that_goes_for_more_is_not_built_or_not_let_through(clone: tuple[Path, World]) -> None:
    project, (folder, world) = load("argocd", "project.yaml"), clone
    stage = folder / "deployments" / world.model / "staging"
    kustomization = yaml.safe_load((stage / "kustomization.yaml").read_text())

    def reasons(objects: Manifests) -> set[str]:
        return set(refused(project, settings()["repository"], "diabetes-staging", objects))

    attack = folder / "deployments" / world.model / "attack"
    for name, changes, wanted in [
        ("elsewhere", {"namespace": "kube-system"}, {"namespace kube-system"}),
        ("role", {"resources": [kustomization["resources"][0], "extra.yaml"]}, {"kind RoleBinding"}),
        ("network", {"resources": [kustomization["resources"][0], "network.yaml"]}, {"kind NetworkPolicy"}),
        (
            "cluster",
            {"resources": [kustomization["resources"][0], "cluster.yaml"]},
            {"cluster-wide ClusterRoleBinding"},
        ),
        (
            "whole base",
            {"resources": ["../../../kubernetes/base"]},
            {"cluster-wide Namespace", "kind Job", "kind NetworkPolicy", "kind StatefulSet"},
        ),
    ]:
        place = attack.with_name(f"attack-{name.replace(' ', '-')}")
        shutil.copytree(stage, place)
        binding = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}}
        for file, kind in (("extra.yaml", "RoleBinding"), ("cluster.yaml", "ClusterRoleBinding")):
            head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "attack"}}
            (place / file).write_text(yaml.safe_dump(head | binding))
        (place / "network.yaml").write_text(yaml.safe_dump(open_network("diabetes-staging")))
        (place / "kustomization.yaml").write_text(yaml.safe_dump(kustomization | changes))
        assert reasons(build(place)) == wanted, name


def test_a_file_from_outside_of_the_folder_is_not_read(clone: tuple[Path, World]) -> None:
    folder, world = clone
    place = folder / "deployments" / world.model / "staging"
    kustomization = yaml.safe_load((place / "kustomization.yaml").read_text())
    kustomization["configMapGenerator"][1]["files"].append("stolen=../../../policies/staging.yaml")
    (place / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    with pytest.raises(AssertionError, match=r"security; file .* is not in or below"):
        build(place)


@pytest.mark.parametrize(
    ("source", "namespace", "wanted"),
    [
        ("ssh://git@git.example.org/other.git", "diabetes-staging", "source ssh://git@git.example.org/other.git"),
        ("ssh://git@git.example.org/deployments.git", "heart-analysts", "destination heart-analysts"),
        ("ssh://git@git.example.org/deployments.git", "argocd", "destination argocd"),
    ],
)
def test_the_project_is_for_one_repository_and_its_own_namespaces(source: str, namespace: str, wanted: str) -> None:
    assert refused(load("argocd", "project.yaml"), source, namespace, Manifests()) == [wanted]


def test_the_project_has_no_wildcard() -> None:
    assert "*" not in yaml.safe_dump(load("argocd", "project.yaml"))


def test_every_file_names_the_same_repository() -> None:
    addresses = {
        address
        for path in (*(FOLDER / "argocd").glob("*.yaml"), *(TEAM / "promotion").glob("*.yaml"))
        for address in re.findall(r"ssh://[^\s`'\"]+", path.read_text())
    }
    assert addresses == {settings()["repository"]}
    assert load("argocd", "project.yaml")["spec"]["sourceRepos"] == [settings()["repository"]]
