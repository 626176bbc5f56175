"""Commits of somebody who has the watcher's key: what `promote check` says of them, and a Git server that asks it."""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from diabetes_risk_model.cli import main
from diabetes_risk_model.promotion import check as checks
from diabetes_risk_model.promotion import packages
from diabetes_risk_model.promotion.git import Git
from diabetes_risk_model.promotion.policies import StagePolicy, dump
from diabetes_risk_model.promotion.rendering import render
from diabetes_risk_model.promotion.stages import StageFiles
from diabetes_risk_model.promotion.watcher import PROMOTED
from signed_parameters import SigningKey, TrustPolicy, build_package, resign, sign_package
from signed_parameters.storage import open_storage
from tests.diabetes_risk_model.promotion.conftest import ROOT, git

DOCUMENT = ROOT / "docs" / "promotion.md"


def found(world: Any, after: str | None = None) -> dict[str, checks.Finding]:
    findings = checks.check(world.settings, Git(str(world.bare)), world.head(), after)
    return {finding.stage: finding for finding in findings}


@pytest.fixture
def promoted(world):
    """A world with a version in staging."""
    world.alias("staging", world.register(2))
    assert world.once().state == PROMOTED
    return world


def folder(world: Any) -> Path:
    world.pull()
    return world.folder / "work" / "deployments" / world.model / "staging"


def test_what_the_watcher_commits_is_good(promoted):
    findings = found(promoted)
    assert (findings["staging"].state, findings["production"].state) == (checks.GOOD, checks.EMPTY)
    assert promoted.analyst.key_id in findings["staging"].detail


def change_policy(world: Any) -> None:
    file = folder(world) / "trust_policy.yaml"
    fields = yaml.safe_load(file.read_text()) | {"keys": [str(SigningKey.generate().verification_key)]}
    file.write_bytes(dump(fields))


def change_image(world: Any) -> None:
    file = folder(world) / "kustomization.yaml"
    fields = yaml.safe_load(file.read_text()) | {"images": [{"name": "diabetes-risk-model", "newName": "evil"}]}
    file.write_bytes(dump(fields))


def add_file(world: Any) -> None:
    (folder(world) / "role.yaml").write_text("kind: ClusterRoleBinding\n")


def remove_record(world: Any) -> None:
    (folder(world) / "promoted.yaml").unlink()


def sign_as(world: Any, key: SigningKey, *, with_own_policy: bool) -> None:
    """Render a stage for a package of one's own, as the watcher would: every file follows from the record."""
    file = world.folder / "own.bin"
    file.write_bytes(b"own parameters")
    package = build_package(world.folder / f"{world.model}-0.1.0-2099.zip", files={"own.bin": file})
    envelope = sign_package(package, key=key, name=world.model, version="0.1.0", parameters_version="2099", serial=99)
    own = TrustPolicy(name=world.model, keys=[key.verification_key])
    statement = packages.find_trusted(package, own).statement
    bucket = world.settings.stage("staging").bucket
    storage = open_storage(packages.deployed_folder(bucket, Path(envelope).read_bytes()))
    storage.write(package.name, package)
    storage.write_bytes(Path(envelope).name, Path(envelope).read_bytes())
    repository = world.repository()
    files = StageFiles(repository.git, repository.fetch(), world.settings, "staging")
    inputs, record = files.inputs, files.record
    if with_own_policy:
        inputs = replace(inputs, policy=StagePolicy(own, dump({"name": world.model})))
    record = record.model_copy(
        update={
            "package": storage.address(package.name),
            "digest": str(statement.package_digest),
            "serial": 99,
            "parameters_version": "2099",
            "signed_by": [key.key_id],
        }
    )
    world.pull()
    for path, content in render(inputs, record).items():
        (world.folder / "work" / path).write_bytes(content)


def deploy_own(world: Any) -> None:
    sign_as(world, SigningKey.generate(), with_own_policy=False)


def deploy_own_and_trust_it(world: Any) -> None:
    sign_as(world, SigningKey.generate(), with_own_policy=True)


def lie(field: str, value: Any) -> Callable[[Any], None]:
    def write(world: Any) -> None:
        repository = world.repository()
        files = StageFiles(repository.git, repository.fetch(), world.settings, "staging")
        record = files.record.model_copy(update={field: value})
        world.pull()
        for path, content in render(files.inputs, record).items():
            (world.folder / "work" / path).write_bytes(content)

    write.__name__ = f"lie_about_{field}"
    return write


ATTACKS: list[tuple[Callable[[Any], None], str]] = [
    (change_policy, "DigestMismatch: .*trust_policy.yaml"),
    (change_image, "DigestMismatch: .*kustomization.yaml"),
    (add_file, "DigestMismatch: .*role.yaml"),
    (remove_record, "DigestMismatch: there is no record"),
    (deploy_own, "UnknownKey"),
    (deploy_own_and_trust_it, "DigestMismatch: .*trust_policy.yaml"),
    (lie("serial", 7), "DigestMismatch: what the record of staging says is not so: serial"),
    (
        lie("parameters_version", "2031"),
        "DigestMismatch: what the record of staging says is not so: parameters version",
    ),
    (lie("signed_by", ["0" * 32]), "DigestMismatch: what the record of staging says is not so: signers"),
    (lie("digest", "blake3:" + "0" * 64), "DigestMismatch: what the record of staging says is not so: digest"),
    (lie("inputs", "sha256:" + "0" * 64), "DigestMismatch: what the record of staging says is not so: inputs"),
    (lie("package", "s3://elsewhere/m.zip"), "DigestMismatch: the package in the record"),
]


@pytest.mark.parametrize(("attack", "reason"), ATTACKS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_commit_that_the_watcher_would_not_make_is_refused(promoted, attack, reason):
    attack(promoted)
    promoted.push("An attack")
    finding = found(promoted)["staging"]
    assert finding.state == checks.REFUSED
    assert re.match(reason, finding.detail.replace("\n", " ")), finding.detail


def test_a_folder_beside_the_stages_is_refused(promoted):
    """Argo CD takes every folder there for a stage."""
    shutil.copytree(folder(promoted), folder(promoted).parent / "extra")
    promoted.push("An attack")
    findings = found(promoted)
    assert findings["staging"].state == checks.GOOD
    assert (findings["extra"].state, "belongs to no stage" in findings["extra"].detail) == (checks.REFUSED, True)


def test_a_stage_that_is_removed_is_refused(promoted):
    """With nothing there, the next commit could deploy what is older."""
    before = promoted.head()
    shutil.rmtree(folder(promoted))
    promoted.push("An attack")
    assert found(promoted)["staging"].state == checks.EMPTY
    assert found(promoted, before)["staging"].state == checks.REFUSED


def test_a_stage_that_goes_back_is_refused_unless_its_policy_says_so(promoted):
    """The older commit was good: only the one before shows that the stage goes back."""
    old = promoted.head()
    promoted.alias("staging", promoted.register(3))
    assert promoted.once().state == PROMOTED
    new = promoted.head()
    promoted.pull()
    git(promoted.folder / "work", "checkout", "--quiet", old, "--", "deployments")
    promoted.push("Back")
    assert found(promoted)["staging"].state == checks.GOOD
    assert "RolledBack" in found(promoted, new)["staging"].detail
    assert promoted.once().state == PROMOTED, "the watcher puts back what its alias means"
    promoted.alias("staging", "1")
    promoted.policy("staging", minimum_serial=1)
    reviewed = promoted.head()
    assert promoted.once().state == PROMOTED
    assert promoted.record().serial == 2
    assert found(promoted, reviewed)["staging"].state == checks.GOOD


def test_signatures_that_are_too_few_or_revoked_later_are_refused(promoted):
    promoted.alias("production", "1")
    both = TrustPolicy(name=promoted.model, keys=[k.verification_key for k in (promoted.analyst, promoted.approver)])
    resign(f"{promoted.settings.packages}/{promoted.package_name(2)}", key=promoted.approver, trusted=both)
    assert promoted.once("production").state == PROMOTED
    assert found(promoted)["production"].state == checks.GOOD
    promoted.policy("production", threshold=2, revoked_keys=[promoted.analyst.key_id])
    assert found(promoted)["production"].state == checks.REFUSED


def test_the_command_tells_and_ends_with_its_status(promoted, monkeypatch):
    monkeypatch.chdir(folder(promoted))
    monkeypatch.setenv("PROMOTION_CONFIG", str(promoted.config))
    for options in ([], ["--commit", "HEAD"], ["--commit", "HEAD", "--after", "HEAD~1"]):
        result = CliRunner().invoke(main, ["promote", "check", "--json", *options])
        assert result.exit_code == 0, result.output
        assert [stage["state"] for stage in json.loads(result.stdout)["stages"]] == ["good", "empty"]
    change_image(promoted)
    promoted.push("An attack")
    for options in ([], ["--commit", "main"]):
        result = CliRunner().invoke(main, ["promote", "check", *options])
        assert result.exit_code == 1
        assert "staging: refused: DigestMismatch" in result.output
    assert CliRunner().invoke(main, ["promote", "check", "--commit", "no-such"]).exit_code == 3
    assert CliRunner().invoke(main, ["promote", "check", "--after", "HEAD"]).exit_code == 2
    monkeypatch.chdir(promoted.folder)
    result = CliRunner().invoke(main, ["promote", "check", "--commit", "HEAD"])
    assert (result.exit_code, "no Git repository" in result.output) == (3, True)


@pytest.fixture
def guarded(promoted):
    """A world whose Git server runs the hook of the document, with what the server gives to hooks."""
    (hook,) = re.findall(r"^```sh\n(#!/bin/sh\n.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    given = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PROMOTION_CONFIG": str(promoted.config),
        **promoted.server.storage.environment(),
    }
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
    pushed_by = f"if [ -e {shlex.quote(str(reviews(promoted)))} ]; then export PUSHED_BY=reviewer; fi\n"
    file = promoted.bare / "hooks" / "pre-receive"
    file.parent.mkdir(exist_ok=True)
    hook = hook.replace("deployments/diabetes_risk_model", f"deployments/{promoted.model}")
    file.write_text(hook.replace("\n", f"\n{exports}{pushed_by}", 1))
    file.chmod(0o755)
    return promoted


def reviews(world: Any) -> Path:
    """The file that tells the server that a reviewer pushes."""
    return Path(world.folder / "a-reviewer-pushes")


def refused(world: Any) -> str:
    """Push what has changed in the person's clone, by the watcher's key; return what the server says."""
    head = world.head()
    with pytest.raises(AssertionError) as caught:
        world.push("An attack")
    assert world.head() == head
    return str(caught.value)


@pytest.mark.parametrize("attack", [change_policy, change_image, deploy_own, deploy_own_and_trust_it])
def test_the_hook_refuses_a_forged_stage(guarded, attack):
    attack(guarded)
    assert "staging: refused: " in refused(guarded)


def test_the_hook_refuses_what_is_outside_of_the_deployments(guarded):
    for path in ("policies/staging.yaml", "kubernetes/base/deployment.yaml", "deployments/evil/staging/x", "new"):
        guarded.pull()
        file = guarded.folder / "work" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("name: another\n")
        assert f"and not {path}" in refused(guarded)
        git(guarded.folder / "work", "reset", "--quiet", "--hard", "origin/main")


def test_the_hook_refuses_an_older_stage_and_another_branch(guarded):
    work = guarded.folder / "work"
    guarded.alias("staging", guarded.register(3))
    older = guarded.head()
    assert guarded.once().state == PROMOTED, "the hook lets the watcher through"
    guarded.pull()
    git(work, "checkout", "--quiet", older, "--", "deployments")
    assert "RolledBack" in refused(guarded)
    for target in ("HEAD~1:refs/heads/other", ":refs/heads/main"):
        with pytest.raises(AssertionError, match="rejected"):
            git(work, "push", "--quiet", "origin", target)


def test_the_hook_lets_a_reviewer_through(guarded):
    reviews(guarded).touch()
    guarded.policy("staging", minimum_serial=1)
    reviews(guarded).unlink()
    assert guarded.once().state == PROMOTED
    assert found(guarded)["staging"].state == checks.GOOD
