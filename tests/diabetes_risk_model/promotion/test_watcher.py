"""From an alias to a commit, or to a refusal."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from diabetes_risk_model.promotion import packages, tags
from diabetes_risk_model.promotion.registry import Registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.watcher import FAILED, PROMOTED, REFUSED, UNCHANGED, UNSET
from signed_parameters import (
    ConfigurationError,
    NotFound,
    SigningKey,
    TrustPolicy,
    Unavailable,
    resign,
    verify_package,
)
from signed_parameters.policy.file import parse_policy
from signed_parameters.storage import open_storage
from tests.diabetes_risk_model.promotion.conftest import git


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


def test_a_commit_that_the_server_refuses_is_not_made_again_at_every_look(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    hook = world.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    fetched, fetch = [], packages.fetch

    def counted(*arguments):
        fetched.append(arguments)
        return fetch(*arguments)

    monkeypatch.setattr(packages, "fetch", counted)
    watcher = world.watcher()
    for _ in range(2):
        assert watcher.once()[0].state == REFUSED
    assert len(fetched) == 1
    assert world.tag(number).startswith("refused: CommitRefused: ")


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


def test_a_missing_bucket_of_the_stage_is_no_fault_of_the_version(world):
    number = world.register(1)
    world.alias("staging", number)
    world.config.write_text(world.config.read_text().replace("s3://staging-files", "s3://no-such-bucket"))
    outcome = world.once()
    assert (outcome.state, type(outcome.error)) == (FAILED, NotFound)
    assert "no-such-bucket" in outcome.detail
    assert world.tag(number) == ""


def test_two_stages_that_change_in_one_look_take_one_fetch_of_each_package(world, monkeypatch):
    number = world.register(1)
    world.policy("production")
    for stage in ("staging", "production"):
        world.alias(stage, number)
    fetched, fetch = [], packages.fetch

    def counted(*arguments):
        fetched.append(arguments)
        return fetch(*arguments)

    monkeypatch.setattr(packages, "fetch", counted)
    assert [outcome.state for outcome in world.watcher().once()] == [PROMOTED, PROMOTED]
    assert len(fetched) == 2


class Away:
    """Lets a step fail so many times, as if its server were away, and notes the pauses between."""

    def __init__(self, monkeypatch, kind, name, times):
        self.pauses, self._left, self._step = [], times, getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *arguments, **options: self._run(*arguments, **options))
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=self.pauses.append)
        monkeypatch.setattr("diabetes_risk_model.promotion.watcher.time", clock)

    def _run(self, *arguments, **options):
        if self._left:
            self._left -= 1
            raise Unavailable("it is away")
        return self._step(*arguments, **options)


@pytest.mark.parametrize(("kind", "name"), [(Registry, "aliases"), (Repository, "fetch"), (Repository, "push")])
def test_what_does_not_answer_is_tried_again_after_longer_and_longer_pauses(world, monkeypatch, kind, name):
    world.alias("staging", world.register(1))
    watcher = world.watcher()
    away = Away(monkeypatch, kind, name, 3)
    assert watcher.once()[0].state == PROMOTED
    first, second, third = away.pauses
    assert 1.5 * 0.005 <= second <= 2 * 0.015
    assert 0.005 <= first <= 0.015
    assert 4 * 0.005 <= third <= 4 * 0.015
    Away(monkeypatch, kind, name, 5)
    world.policy("staging", maximum_age="90d")
    if name == "push":
        assert watcher.once()[0].state == FAILED
    else:
        with pytest.raises(Unavailable):
            watcher.once()


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


def test_two_watchers_at_once_make_one_commit(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    together, push = threading.Barrier(2), Repository.push
    waited = threading.local()

    def push_together(self: Repository, commit: str, parent: str) -> bool:
        if not getattr(waited, "done", False):
            waited.done = True
            together.wait(60)
        return push(self, commit, parent)

    monkeypatch.setattr(Repository, "push", push_together)
    before, outcomes = len(world.commits()), []
    watchers = [world.watcher() for _ in range(2)]
    threads = [threading.Thread(target=lambda w=w: outcomes.append(w.once()[0])) for w in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(outcome.state for outcome in outcomes) == [PROMOTED, UNCHANGED]
    assert len(world.commits()) == before + 1


def test_a_commit_of_somebody_else_in_between_is_kept(world, monkeypatch):
    number = world.register(1)
    world.alias("staging", number)
    push, done = Repository.push, []

    def push_late(self: Repository, commit: str, parent: str) -> bool:
        if not done:
            done.append(parent)
            world.review("README.md", b"by a person\n", "A person's commit")
        return push(self, commit, parent)

    monkeypatch.setattr(Repository, "push", push_late)
    assert world.once().state == PROMOTED
    assert world.commits()[:2] == [f"Promote staging to {world.model} 2026_0001 (serial 1)", "A person's commit"]
