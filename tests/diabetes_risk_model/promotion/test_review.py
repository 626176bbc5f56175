"""What an approver is shown before signing, and that only what was shown is signed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diabetes_risk_model.promotion import tags
from diabetes_risk_model.promotion.approval import approve
from diabetes_risk_model.promotion.review import review, tell
from signed_parameters import (
    ConfigurationError,
    DigestMismatch,
    RevokedKey,
    SigningKey,
    TooFewSignatures,
    UnknownKey,
    VerificationError,
)

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
METRICS = {"held_out": {"Prec.": 0.75, "AUC": 0.8263, "none": None, "inf": float("inf"), "\x1b[2J": 1.0}}

HUGE = b'{"held_out": {"AUC": 1' + b"0" * 400 + b"}}"


def look(world, number, out=None):
    return review(world.settings, world.registry(), world.repository(), number, out)


def register(world, serial, files):
    """Register a version whose package holds these files."""
    paths = {}
    for name, data in files.items():
        paths[name] = world.folder / "files" / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_bytes(data)
    return world.register(serial, files=paths)


def test_it_tells_what_each_stage_would_make_of_a_version(world):
    number = world.register(1)
    found = look(world, number)
    assert found.statement == world.statement(1)
    assert found.address == f"{world.settings.packages}/{world.package_name(1)}"
    staging, production = found.stages
    assert (staging.stage, staging.threshold, staging.refusal) == ("staging", 1, None)
    assert staging.key_ids == production.key_ids == (world.analyst.key_id,)
    assert production.threshold == 2
    assert isinstance(production.refusal, TooFewSignatures)
    world.alias("staging", number)
    world.once()
    older, newer = world.register(0), world.register(2)
    assert look(world, newer).stages[0].deployed == world.record()
    assert look(world, newer).stages[0].refusal is None
    assert "deployed" not in str(look(world, number).stages[0].refusal)
    refusal = look(world, older).stages[0].refusal
    assert "commit a minimum_serial to policies/staging.yaml" in str(refusal)
    other = world.register(1, version="other")
    assert "another package with serial 1 is deployed" in str(look(world, other).stages[0].refusal)


def test_it_says_what_the_watcher_then_does(world):
    """Whether the watcher would promote it, in each of these states of a version and a policy."""
    numbers = [world.register(2), world.register(1), world.register(3)]
    for change in ({}, {"revoked_keys": [world.analyst.key_id]}, {"minimum_serial": 3}):
        if change:
            world.policy("staging", **change)
        for number in numbers:
            try:
                refusal = look(world, number).stages[0].refusal
            except VerificationError as error:  # no stage would take it
                refusal = error
            world.alias("staging", number)
            outcome = world.once()
            assert (outcome.state == "refused") == (refusal is not None), (change, number, refusal, outcome)


def test_nothing_is_changed(world):
    number = world.register(1)
    before = world.head(), world.registry().aliases(), world.registry().version(number)
    look(world, number)
    assert (world.head(), world.registry().aliases(), world.registry().version(number)) == before


def test_scores_come_out_of_the_package_and_nothing_that_moves_a_terminal(world):
    number = register(world, 1, {"metrics.json": json.dumps(METRICS).encode(), "model.onnx": b""})
    found = look(world, number)
    assert found.scores == {"Prec.": 0.75, "AUC": 0.8263}
    text = "\n".join(tell(number, found))
    assert "held-out scores: Prec. 0.7500, AUC 0.8263" in text
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"held_out": 1}', b'{"held_out": {"AUC": "x"}}', b"\xff", b"[" * 9, HUGE]
)
def test_figures_that_are_none_hide_nothing_else(world, data):
    found = look(world, register(world, 1, {"metrics.json": data}))
    assert found.scores == {}
    assert found.stages[0].refusal is None


def test_what_people_look_at_is_written_and_nothing_that_runs(world, tmp_path):
    files = {
        name: name.encode() for name in ("card.md", "plots/roc.png", "manifest.json", "profile.html", "model.onnx")
    }
    number = register(world, 1, files)
    out = tmp_path / "out"
    look(world, number, out)
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == {name: files[name] for name in ("card.md", "plots/roc.png", "manifest.json")}
    with pytest.raises(ConfigurationError, match="holds nothing that people look at"):
        look(world, world.register(2), tmp_path / "other")


def test_what_no_stage_trusts_is_not_shown(world):
    number = world.register(1)
    world.tamper(1)
    with pytest.raises(DigestMismatch):
        look(world, number)
    lied = world.register(2, lies={tags.SERIAL: "7"})
    with pytest.raises(DigestMismatch):
        look(world, lied)
    good = world.register(3)
    for stage in ("staging", "production"):
        world.policy(stage, keys=[str(SigningKey.generate().verification_key)])
    with pytest.raises(UnknownKey):
        look(world, good)


def test_a_key_that_one_stage_trusts_is_enough(world):
    number = world.register(1)
    world.policy("staging", keys=[str(world.analyst.verification_key)], revoked_keys=[world.analyst.key_id])
    staging, production = look(world, number).stages
    assert staging.key_ids == ()
    assert isinstance(staging.refusal, RevokedKey)
    assert production.key_ids == (world.analyst.key_id,)


def test_a_version_that_means_another_package_than_was_looked_at_gets_no_signature(world):
    """The attack: between the look and the signature, somebody lets the version's tags lead to another package."""
    number = world.register(1)
    digest = look(world, number).statement.package_digest
    other = world.registry().version(world.register(2))
    for key, value in other.tags.items():
        world.registry().set_tag(number, key, value)
    arguments = (world.settings, world.registry(), world.repository(), number, "production", world.approver)
    with pytest.raises(DigestMismatch):
        approve(*arguments, digest)
    assert world.registry().aliases() == {}
    assert look(world, number).stages[1].key_ids == (world.analyst.key_id,)
    assert approve(*arguments).added  # without the digest nothing holds it off
    assert look(world, number).stages[1].key_ids == (world.analyst.key_id, world.approver.key_id)


def test_a_digest_of_the_policy_s_own_holds_too(world):
    number, digest = world.register(1), world.statement(1).package_digest
    world.policy("production", threshold=2, package_digest="blake3:" + "1" * 64)
    arguments = (world.settings, world.registry(), world.repository(), number, "production", world.approver)
    for given in (None, digest):
        with pytest.raises(DigestMismatch):
            approve(*arguments, given)
    world.policy("production", threshold=2, package_digest=str(digest))
    assert look(world, number).stages[1].key_ids == (world.analyst.key_id,)
    assert approve(*arguments, digest).added


def test_the_commands(world):
    number = world.register(1)
    world.approver.save(world.folder / "approver.json")
    run = {"capture_output": True, "text": True, "timeout": 120, "cwd": world.folder, "check": False}
    shown = subprocess.run([COMMAND, "promote", "show", number, "--config", world.config, "--json"], **run)
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert answer["digest"] == str(world.statement(1).package_digest)
    assert [each["refusal"] is None for each in answer["stages"]] == [True, False]
    text = subprocess.run([COMMAND, "promote", "show", number, "--config", world.config], **run).stdout
    assert f"production has nothing. This version has 1 of 2 signatures, by {world.analyst.key_id}." in text
    last = text.splitlines()[-1]
    typed = last.removeprefix("next: diabetes-risk-model ").replace("STAGE", "production").split()
    key = ["--key", "approver.json", "--config", world.config]
    for wrong, status in (("blake3:" + "1" * 64, 1), ("blake3", 2), (answer["digest"], 0)):
        typed[typed.index("--digest") + 1] = wrong
        assert subprocess.run([COMMAND, *typed, *key], **run).returncode == status
    assert world.registry().aliases() == {"production": number}
