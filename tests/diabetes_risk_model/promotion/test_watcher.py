"""From an alias to a commit, or to a refusal."""

from typing import Any

import pytest
import yaml

from diabetes_risk_model.promotion import packages, tags
from diabetes_risk_model.promotion.watcher import FAILED, PROMOTED, REFUSED, UNCHANGED, UNSET
from signed_parameters import (
    ConfigurationError,
    SigningKey,
    TrustPolicy,
    resign,
    verify_package,
)
from signed_parameters.policy.file import parse_policy
from signed_parameters.storage import open_storage


def test_an_alias_becomes_a_commit_once(world):
    assert [outcome.state for outcome in world.watcher().once()] == [UNSET, UNSET]
    number = world.register(3)
    before = world.head()
    world.alias("staging", number)
    assert world.once().state == PROMOTED
    assert world.commits()[0] == f"Promote staging to {world.model} 2026_0003 (serial 3)"
    record = world.record()
    assert (record.registry_version, record.serial) == (number, 3)
    assert record.digest == str(world.statement(3).package_digest)
    assert record.signed_by == [world.analyst.key_id]
    assert world.tag(number) == f"deployed: serial 3, {record.digest}"
    head, commits = world.head(), world.commits()
    assert head != before
    assert world.once().state == UNCHANGED
    assert (world.head(), world.commits()) == (head, commits)


def test_what_is_rendered_says_which_package_and_no_older(world):
    world.alias("staging", world.register(3))
    world.once()
    files = world.deployed()
    assert sorted(files) == [
        "kustomization.yaml",
        "parameters.env",
        "promoted.yaml",
        "rest_config.yaml",
        "trust_policy.yaml",
    ]
    digest = str(world.statement(3).package_digest)
    assert dict(line.split("=") for line in files["parameters.env"].split()) == {
        "MODEL_PARAMETERS_VERSION": "2026_0003",
        "PACKAGE_DIGEST": digest,
        "PACKAGE_SERIAL": "3",
        "MINIMUM_SERIAL": "3",
    }
    model = yaml.safe_load(files["rest_config.yaml"])["models"][0]["configuration"]
    envelope = open_storage(world.settings.packages).read(f"{world.package_name(3)}.dsse.json", 1 << 20)
    assert model["model_files_bucket"] == packages.deployed_folder(f"s3://staging-files/{world.model}", envelope)
    assert not {"minimum_serial", "parameters_verification_keys"} & set(model)
    policy = parse_policy(files["trust_policy.yaml"], "trust_policy.yaml")
    assert (policy.name, policy.minimum_serial, policy.threshold) == (world.model, 3, 1)
    assert str(policy.package_digest) == digest
    with verify_package(f"{model['model_files_bucket']}/{world.package_name(3)}", policy) as package:
        assert package.read("parameters.bin") == b"parameters3"


def test_a_newer_version_replaces_an_older_one(world):
    for serial in (1, 2):
        world.alias("staging", world.register(serial))
        assert world.once().state == PROMOTED
    assert world.record().serial == 2
    assert len(world.commits()) == 4


def refused(world: Any, number: str, error: str, stage: str = "staging") -> str:
    """Expect that a version is refused, that the reason is on it, and that Git stays as it is."""
    head = world.head()
    outcome = world.once(stage)
    assert outcome.state == REFUSED, outcome
    assert world.head() == head
    reason = world.tag(number, stage)
    assert reason == outcome.detail
    assert reason.startswith(f"refused: {error}: ")
    return reason


def test_a_tampered_package_is_refused(world):
    number = world.register(1)
    world.alias("staging", number)
    world.tamper(1)
    refused(world, number, "DigestMismatch")
    assert list(open_storage(f"s3://staging-files/{world.model}").names()) == []


def test_a_package_without_an_envelope_is_refused(world):
    number = world.register(1)
    world.alias("staging", number)
    world.remove_envelope(1)
    assert "never signed" in refused(world, number, "NotFound")


def test_one_signature_where_two_are_asked_is_refused(world):
    number = world.register(1)
    world.alias("production", number)
    refused(world, number, "TooFewSignatures", "production")


def test_a_revoked_key_is_refused(world):
    number = world.register(1)
    world.policy("staging", revoked_keys=[world.analyst.key_id])
    world.alias("staging", number)
    refused(world, number, "RevokedKey")


def test_a_stranger_s_key_is_refused(world):
    world.analyst, trusted = SigningKey.generate(), world.analyst
    number = world.register(1)
    world.alias("staging", number)
    refused(world, number, "UnknownKey")
    world.analyst = trusted


@pytest.mark.parametrize(
    ("tag", "lie"),
    [(tags.DIGEST, "blake3:" + "0" * 64), (tags.SERIAL, "9"), (tags.KEY_ID, "0" * 32), (tags.DIGEST, "")],
)
def test_a_tag_that_lies_is_refused(world, tag, lie):
    number = world.register(1, lies={tag: lie})
    world.alias("staging", number)
    assert "does not agree with the signed statement" in refused(world, number, "DigestMismatch")


@pytest.mark.parametrize(
    "uri", ["/etc/passwd.zip", "file:///etc/x.zip", "{}/../other/x.zip", "{}2/x.zip", "http://h/x.zip", "{}/m@latest"]
)
def test_a_tag_leads_nowhere_but_to_the_packages(world, uri):
    number = world.register(1, lies={tags.PACKAGE_URI: uri.format(world.settings.packages)})
    world.alias("staging", number)
    refused(world, number, "NameMismatch")


def test_another_model_s_package_is_refused(world, make_world):
    other = make_world()
    number = other.register(1)
    described = other.registry().version(number).tags
    envelope = f"{other.package_name(1)}.dsse.json"
    source, target = open_storage(other.settings.packages), open_storage(world.settings.packages)
    for name in (other.package_name(1), envelope):
        target.write_bytes(name, source.read(name, 1 << 20))
    number = world.create_version({**described, tags.PACKAGE_URI: f"{world.settings.packages}/{other.package_name(1)}"})
    world.alias("staging", number)
    refused(world, number, "NameMismatch")


def test_going_back_takes_a_reviewed_policy(world):
    old, new = world.register(1), world.register(2)
    for number in (old, new):
        world.alias("staging", number)
        assert world.once().state == PROMOTED
    world.alias("staging", old)
    assert "commit a minimum_serial to policies/staging.yaml" in refused(world, old, "RolledBack")
    world.policy("staging", minimum_serial=1)
    assert world.once().state == PROMOTED
    assert world.commits()[0].startswith("Roll back staging")
    assert world.record().serial == 1
    policy = parse_policy(world.deployed()["trust_policy.yaml"], "trust_policy.yaml")
    assert policy.minimum_serial == 1


def test_a_reviewed_policy_lets_a_stage_go_back_once(world):
    """A minimum serial is there to forbid: it must not let everybody who can set an alias go back from then on."""
    old, new = world.register(1), world.register(2)
    world.alias("staging", new)
    world.once()
    world.policy("staging", minimum_serial=1)
    assert world.once().state == PROMOTED
    world.alias("staging", old)
    assert "serial 2 or later" in refused(world, old, "RolledBack")


def test_another_package_with_the_same_serial_is_refused(world):
    first = world.register(1)
    world.alias("staging", first)
    assert world.once().state == PROMOTED
    other = world.register(1, version="2026_other")
    world.alias("staging", other)
    assert "expected serial 2 or later" in refused(world, other, "RolledBack")


def test_a_minimum_serial_in_the_policy_holds(world):
    number = world.register(4)
    world.policy("staging", minimum_serial=5)
    world.alias("staging", number)
    assert "serial 5 or later" in refused(world, number, "RolledBack")


def test_a_refusal_is_lifted_when_its_reason_is_gone(world):
    number = world.register(1)
    world.alias("production", number)
    watcher = world.watcher()
    assert watcher.once()[1].state == REFUSED
    both = TrustPolicy(name=world.model, keys=[world.analyst.verification_key, world.approver.verification_key])
    resign(f"{world.settings.packages}/{world.package_name(1)}", key=world.approver, trusted=both)
    assert watcher.once()[1].state == PROMOTED
    assert world.tag(number, "production").startswith("deployed: ")
    assert len(world.record("production").signed_by) == 2


def test_a_changed_policy_is_rolled_out_and_a_broken_one_is_not(world):
    number = world.register(1)
    world.alias("staging", number)
    world.once()
    world.policy("staging", maximum_age="90d")
    assert world.once().state == PROMOTED
    assert "maximum_age" in world.deployed()["trust_policy.yaml"]
    assert world.once().state == UNCHANGED
    world.review("policies/staging.yaml", b"name: another\nkeys: []\n", "A mistake")
    head = world.head()
    outcome = world.once()
    assert outcome.state == FAILED
    assert isinstance(outcome.error, ConfigurationError)
    assert world.head() == head


def test_a_shared_secret_never_gets_into_git(world):
    secret = SigningKey.generate("hmac-sha512")
    number = world.register(1)
    world.alias("staging", number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARED_SECRET", str(secret.verification_key))
        world.policy("staging", keys=["env:SHARED_SECRET", str(world.analyst.verification_key)])
        outcome = world.once()
    assert outcome.state == FAILED
    assert "shared secret" in outcome.detail
    assert str(secret.verification_key) not in outcome.detail
