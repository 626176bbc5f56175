"""An approver's signature, and the alias."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diabetes_risk_model.promotion import packages, tags
from diabetes_risk_model.promotion.approval import approve
from diabetes_risk_model.promotion.registry import Registry
from diabetes_risk_model.promotion.watcher import PROMOTED, REFUSED
from signed_parameters import ConfigurationError, NotFound, SigningKey, TooFewSignatures, Unavailable, VerificationError
from signed_parameters.storage import open_storage
from signed_parameters.verification import read_envelope

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))


def signers(world, serial=1):
    envelope = read_envelope(open_storage(world.settings.packages), world.package_name(serial), 1 << 20)
    return [signature.key_id for signature in envelope.signatures]


def run(world, number, key, alias="production"):
    return approve(world.settings, world.registry(), world.repository(), number, alias, key)


def test_an_approval_adds_a_signature_and_sets_the_alias(world):
    number = world.register(1)
    approved = run(world, number, world.approver)
    assert approved.added
    assert approved.key_ids == (world.analyst.key_id, world.approver.key_id)
    assert signers(world) == [world.analyst.key_id, world.approver.key_id]
    assert world.registry().aliases() == {"production": number}
    assert world.once("production").state == PROMOTED
    assert not run(world, number, world.approver).added
    assert len(signers(world)) == 2


def test_staging_needs_no_further_signature(world):
    number = world.register(1)
    assert not run(world, number, None, "staging").added
    assert world.registry().aliases() == {"staging": number}


def test_no_signature_is_given_that_the_stage_does_not_need(world):
    """It would count for production too, where it was not meant."""
    number = world.register(1)
    assert not run(world, number, world.approver, "staging").added
    assert signers(world) == [world.analyst.key_id]
    world.alias("production", number)
    assert world.once("production").state == REFUSED


def test_an_approval_that_broke_off_is_finished_by_the_same_command(world, monkeypatch):
    """The signature is stored before the alias is set: an alias alone would deploy nothing, and say nothing."""
    number, set_alias = world.register(1), Registry.set_alias

    def broken_off(*arguments):
        raise Unavailable("the registry is away")

    monkeypatch.setattr(Registry, "set_alias", broken_off)
    with pytest.raises(Unavailable):
        run(world, number, world.approver)
    assert len(signers(world)) == 2
    assert world.registry().aliases() == {}
    monkeypatch.setattr(Registry, "set_alias", set_alias)
    assert not run(world, number, world.approver).added
    assert world.registry().aliases() == {"production": number}
    assert len(signers(world)) == 2


def test_one_person_alone_cannot_approve(world):
    number = world.register(1)
    for key in (None, world.analyst):
        with pytest.raises(TooFewSignatures, match=f"promote approve {number} --alias production --key FILE"):
            run(world, number, key)
    assert world.registry().aliases() == {}
    assert signers(world) == [world.analyst.key_id]


def test_a_key_that_the_policy_does_not_trust_signs_nothing(world):
    number = world.register(1)
    with pytest.raises(ConfigurationError, match="is none that policies/production"):
        run(world, number, SigningKey.generate())
    keys = [str(key.verification_key) for key in (world.analyst, world.approver, SigningKey.generate())]
    world.policy("production", threshold=2, keys=keys, revoked_keys=[world.approver.key_id])
    with pytest.raises(ConfigurationError, match="is revoked"):
        run(world, number, world.approver)
    assert signers(world) == [world.analyst.key_id]
    assert world.registry().aliases() == {}


def test_what_is_tampered_with_gets_no_signature(world):
    number = world.register(1)
    world.tamper(1)
    with pytest.raises(VerificationError):
        run(world, number, world.approver)
    lied = world.register(2, lies={tags.DIGEST: "blake3:" + "1" * 64})
    with pytest.raises(VerificationError):
        run(world, lied, world.approver)
    assert signers(world) == signers(world, 2) == [world.analyst.key_id]


def test_an_envelope_that_is_exchanged_meanwhile_is_not_what_is_signed(world, monkeypatch):
    number, _ = world.register(1), world.register(2)
    meant, fetch = world.statement(1), packages.fetch

    def fetch_then_exchange(*arguments):
        checked = fetch(*arguments)
        storage = open_storage(world.settings.packages)
        other = storage.read(world.package_name(2) + ".dsse.json", 1 << 20)
        storage.write_bytes(world.package_name(1) + ".dsse.json", other, overwrite=True)
        return checked

    monkeypatch.setattr(packages, "fetch", fetch_then_exchange)
    run(world, number, world.approver)
    assert signers(world, 2) == [world.analyst.key_id]
    assert world.statement(1) == meant
    assert len(signers(world, 1)) == 2


def test_what_is_not_there_is_named(world):
    with pytest.raises(NotFound, match="version 9"):
        run(world, "9", world.approver)
    with pytest.raises(ConfigurationError, match="staging or production"):
        run(world, "1", world.approver, "nowhere")


def test_the_commands(world):
    number = world.register(1)
    world.approver.save(world.folder / "approver.json")
    config = ["--config", str(world.config), "--json"]
    key = ["--key", str(world.folder / "approver.json")]
    said = []
    for arguments, status in [
        (["approve", number, "--alias", "production", *config], 1),
        (["approve", number, "--alias", "production", *key, *config], 0),
        (["once", *config], 0),
        (["once", *config], 0),
        (["once", "--config", "missing.yaml", "--json"], 2),
    ]:
        done = subprocess.run(
            [COMMAND, "promote", *arguments], capture_output=True, text=True, timeout=120, cwd=world.folder, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        said.append(json.loads(done.stdout))
    assert said[0]["error"] == "TooFewSignatures"
    assert said[1]["signed_by"] == [world.analyst.key_id, world.approver.key_id]
    assert [[stage["state"] for stage in answer["stages"]] for answer in said[2:4]] == [
        ["unset", "promoted"],
        ["unset", "unchanged"],
    ]
    assert said[4]["error"] == "ConfigurationError"
