"""What is deployed stays as it was promoted, whatever others do to it."""

import pytest
import yaml

from diabetes_risk_model.promotion import tags
from diabetes_risk_model.promotion.watcher import FAILED, PROMOTED, UNCHANGED
from signed_parameters import (
    NotFound,
    SigningKey,
    TrustPolicy,
    resign,
    verify_package,
)
from signed_parameters.policy.file import parse_policy
from tests.diabetes_risk_model.promotion.conftest import git
from tests.diabetes_risk_model.promotion.test_watcher import refused


@pytest.mark.parametrize("touch", ["a file changed", "a file removed", "a file added", "a link", "all but the record"])
def test_what_somebody_else_does_to_a_stage_s_files_is_put_right(world, touch):
    number = world.register(1)
    world.alias("staging", number)
    assert world.once().state == PROMOTED
    good, tree = world.deployed(), world.tree()
    folder = world.folder / "work" / "deployments" / world.model / "staging"
    world.pull()
    match touch:
        case "a file changed":
            policy = yaml.safe_load((folder / "trust_policy.yaml").read_text())
            policy["keys"] = [{"key": str(SigningKey.generate().verification_key)}]
            (folder / "trust_policy.yaml").write_text(yaml.safe_dump(policy))
        case "a file removed":
            (folder / "rest_config.yaml").unlink()
        case "a file added":
            (folder / "role.yaml").write_text("kind: ClusterRoleBinding\n")
        case "a link":
            (folder / "parameters.env").unlink()
            (folder / "parameters.env").symlink_to("../../../configuration/rest_config.yaml")
        case _:
            for name in set(good) - {"promoted.yaml"}:
                (folder / name).unlink()
    world.push("A person's change")
    assert world.tree() != tree
    assert world.once().state == PROMOTED
    assert (world.deployed(), world.tree()) == (good, tree)
    assert "Somebody else had changed the files of staging." in git(world.bare, "log", "-1", "--format=%B", "main")
    assert world.once().state == UNCHANGED


def test_what_is_deployed_stays_as_it_was_signed_whatever_becomes_of_the_commit(world, monkeypatch):
    """A pod that starts while the push is refused needs the envelope that its policy trusts."""
    number = world.register(1)
    world.alias("staging", number)
    world.policy("staging", keys=[str(world.analyst.verification_key)])
    assert world.once().state == PROMOTED
    record, policy = world.record(), parse_policy(world.deployed()["trust_policy.yaml"], "trust_policy.yaml")
    other = TrustPolicy(name=world.model, keys=[k.verification_key for k in (world.analyst, world.approver)])
    resign(f"{world.settings.packages}/{world.package_name(1)}", key=world.approver, trusted=other, replace=True)
    world.registry().set_tag(number, tags.KEY_ID, world.approver.key_id)
    world.policy("staging", keys=[str(world.approver.verification_key)])
    hook = world.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho frozen until Monday >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "frozen until Monday" in refused(world, number, "CommitRefused")
    with verify_package(record.package, policy):
        pass
    hook.unlink()
    assert world.once().state == PROMOTED
    with verify_package(record.package, policy):
        pass


def test_what_vanished_from_the_stage_s_bucket_is_copied_again_without_a_commit(world):
    world.alias("staging", world.register(1))
    world.once()
    address, head = world.record().package, world.head()
    bucket, _, path = address.removeprefix("s3://").partition("/")
    world.server.storage.client().remove_object(bucket, f"{path}.dsse.json")
    outcome = world.once()
    assert (outcome.state, outcome.detail.endswith("copied again")) == (PROMOTED, True)
    assert world.head() == head
    with verify_package(address, parse_policy(world.deployed()["trust_policy.yaml"], "trust_policy.yaml")):
        pass
    assert world.once().state == UNCHANGED


def test_a_version_that_means_another_package_than_before_is_looked_at(world):
    """As after a registry was set up anew, or by somebody who may write tags."""
    number, other = world.register(1), world.register(2)
    world.alias("staging", number)
    assert world.once().state == PROMOTED
    for key, value in world.registry().version(other).tags.items():
        world.registry().set_tag(number, key, value)
    assert world.once().state == PROMOTED
    assert world.record().serial == 2
    world.registry().set_tag(number, tags.DIGEST, "blake3:" + "0" * 64)
    refused(world, number, "DigestMismatch")


def test_a_missing_bucket_of_the_stage_is_no_fault_of_the_version(world):
    number = world.register(1)
    world.alias("staging", number)
    world.config.write_text(world.config.read_text().replace("s3://staging-files", "s3://no-such-bucket"))
    outcome = world.once()
    assert (outcome.state, type(outcome.error)) == (FAILED, NotFound)
    assert "no-such-bucket" in outcome.detail
    assert world.tag(number) == ""
