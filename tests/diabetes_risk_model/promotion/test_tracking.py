"""`train --track` and `promote register`: told before training, finished after it, counted over all who sign."""

import json
import shlex
import shutil
import sys
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from diabetes_risk_model.cli import main
from diabetes_risk_model.prediction.parameters import MODEL_NAME
from diabetes_risk_model.promotion.register_command import nothing_lost
from diabetes_risk_model.promotion.tracking import track
from signed_parameters import ConfigurationError, SigningKey, TrustPolicy, verify_package
from signed_parameters.storage import open_storage
from tests.diabetes_risk_model.promotion.conftest import git
from tests.diabetes_risk_model.promotion.test_end_to_end import train

__all__ = ["train"]


@pytest.fixture
def command(make_world, train, monkeypatch):
    """`command("2026_11_24")` makes what runs `train --track`, with a training that takes no time."""

    def make(parameters_version: str) -> TrainCommand:
        world = make_world(MODEL_NAME, registered=False)
        command = TrainCommand(world, train(parameters_version), parameters_version)
        monkeypatch.setattr("diabetes_risk_model.training.run.train", command.train)
        monkeypatch.chdir(world.folder)
        world.analyst.save("analyst.json")
        return command

    return make


@dataclass
class TrainCommand:
    """Runs `train --track`. The training has its own tests: here it is a folder that was trained before."""

    world: Any
    ready: Path
    parameters_version: str
    trainings: int = 0

    def train(self, survey, folder, **options) -> None:
        assert options["parameters_version"] == self.parameters_version
        shutil.copytree(self.ready, folder, dirs_exist_ok=True)
        self.trainings += 1

    def __call__(self, *options: str) -> tuple[int, str]:
        named = ["--parameters-version", self.parameters_version, "--config", str(self.world.config)]
        return run("train", "--track", "--key", "analyst.json", "--source", "embedded", *named, *options)


def run(*arguments: str) -> tuple[int, str]:
    """Run a command; return its exit status, and what it says on one line."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, " ".join(result.output.split())


def versions(world) -> list[str]:
    query = urllib.parse.urlencode({"filter": f"name='{world.model}'"})
    with urllib.request.urlopen(
        f"{world.server.url}/api/2.0/mlflow/model-versions/search?{query}", timeout=60
    ) as answer:
        return [entry["version"] for entry in json.load(answer)["model_versions"]]


def test_train_tracks_what_it_trained_and_a_second_time_says_so_before_it_trains(command):
    train_and_track = command("2026_11_24")
    status, says = train_and_track("--serial", "9")
    assert (status, "signed by" in says) == (0, True), says
    last = max(int(number) for number in versions(train_and_track.world))
    assert train_and_track.world.registry().version(str(last)).tags["signed_parameters.serial"] == "9"
    status, says = train_and_track("--serial", "10")
    assert (status, train_and_track.trainings) == (2, 1)
    assert "2026_11_24.zip is there already, and signed. Choose a new --parameters-version" in says


@pytest.mark.parametrize(
    ("missing", "status", "expected"),
    [
        ("mlflow", 2, "tracking needs MLflow"),
        ("skops.io", 2, "tracking needs MLflow"),
        ("registry", 3, "the registry http://127.0.0.1:9 does not answer"),
        ("storage", 3, "http://127.0.0.1:9 does not answer"),
        ("bucket", 3, "the bucket of s3://no-such-bucket/ does not exist"),
        ("repository", 3, "missing.git cannot be read"),
        ("model", 2, "the settings are another model's"),
    ],
)
def test_what_would_fail_after_training_fails_before_it(command, monkeypatch, missing, status, expected):
    train_and_track = command("2026_11_29")
    world, nowhere = train_and_track.world, "http://127.0.0.1:9"
    changes = {
        "registry": (world.server.url, nowhere),
        "repository": (str(world.bare), "missing.git"),
        "bucket": ("s3://model-packages/diabetes_risk_model", "s3://no-such-bucket"),
        "model": (f'"{MODEL_NAME}"', '"another"'),
    }
    if missing in changes:
        before, after = changes[missing]
        assert before in world.config.read_text()
        world.config.write_text(world.config.read_text().replace(before, after))
    elif missing == "storage":
        monkeypatch.setenv("AWS_ENDPOINT_URL", nowhere)
    else:
        monkeypatch.setitem(sys.modules, missing, None)
    found, says = train_and_track()
    assert expected in says
    assert (found, train_and_track.trainings) == (status, 0)


def test_what_broke_off_is_finished_without_training(command, monkeypatch):
    import mlflow.sklearn

    def break_off(*arguments, **options):
        raise mlflow.exceptions.MlflowException("broken off")

    train_and_track = command("2026_11_26")
    world = train_and_track.world
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.sklearn, "log_model", break_off)
        status, says = train_and_track()
    assert status == 3
    assert "broken off" in says
    assert "Nothing is lost: build/artefacts has what was trained." in says
    finishing = shlex.split(says.rpartition("Finish with: diabetes-risk-model ")[2])
    options = ["--key", "analyst.json", "--config", str(world.config)]
    assert finishing == ["promote", "register", "build/artefacts", *options]
    storage, envelope = open_storage(world.settings.packages), f"{MODEL_NAME}-0.1.0-2026_11_26.zip.dsse.json"
    before = storage.read(envelope, 1 << 20)

    status, says = train_and_track()
    assert (status, train_and_track.trainings) == (2, 1)
    assert "promote register" in says
    status, says = run(*finishing)
    assert status == 0, says
    assert "2026_11_26, serial 1" in says
    registered = versions(world)
    status, answer = run(*finishing, "--json")
    assert status == 0, answer
    assert json.loads(answer)["version"] == max(registered, key=int)
    assert versions(world) == registered
    assert "expected serial 2, found 1" in run(*finishing, "--serial", "2")[1]
    assert storage.read(envelope, 1 << 20) == before
    assert train_and_track.trainings == 1


def test_an_interruption_too_says_what_finishes_the_work(capsys):
    with pytest.raises(KeyboardInterrupt), nothing_lost(Path("my model"), "env:KEY", 7, None):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert said.endswith("Finish with: diabetes-risk-model promote register 'my model' --key env:KEY --serial 7\n")


def test_a_package_that_broke_off_in_the_storage_is_made_whole(make_world, train, monkeypatch):
    world = make_world(MODEL_NAME, registered=False)
    monkeypatch.chdir(world.folder)
    name, artefacts = f"{MODEL_NAME}-0.1.0-2026_11_27.zip", train("2026_11_27")
    first = track(artefacts, world.settings, key=world.analyst, out=Path("packages"))
    storage = open_storage(world.settings.packages)
    whole = storage.read(name, 1 << 24)
    storage.write_bytes(name, whole[:100], overwrite=True)
    assert track(artefacts, world.settings, key=world.analyst, out=Path("packages")) == first
    assert storage.read(name, 1 << 24) == whole


def test_another_package_of_the_same_name_is_refused_and_left_alone(make_world, train, monkeypatch):
    world = make_world(MODEL_NAME, registered=False)
    monkeypatch.chdir(world.folder)
    name, artefacts = f"{MODEL_NAME}-0.1.0-2026_11_28.zip", train("2026_11_28")
    first = track(artefacts, world.settings, key=world.analyst, out=Path("packages"))
    for key, serial, found in [
        (world.approver, None, "not signed by this key"),
        (world.analyst, 5, "signed with another serial"),
    ]:
        with pytest.raises(ConfigurationError, match=f"there already, {found}"):
            track(artefacts, world.settings, key=key, out=Path("packages"), serial=serial)
    (artefacts / "card.html").write_text("<p>Another card</p>")
    with pytest.raises(ConfigurationError, match="there already, and is another one"):
        track(artefacts, world.settings, key=world.analyst, out=Path("packages"))
    for address in (f"{world.settings.packages}/{name}", Path("packages") / name):
        verify_package(address, TrustPolicy(MODEL_NAME, [world.analyst.verification_key])).close()
    assert max(versions(world), key=int) == first.number


def test_analysts_count_on_from_each_other_and_from_keys_that_are_gone(make_world, train, monkeypatch):
    world = make_world(MODEL_NAME, registered=False)
    monkeypatch.chdir(world.folder)
    other = SigningKey.generate()
    keys = [str(key.verification_key) for key in (world.analyst, other)]
    world.policy("staging", keys=keys)

    def serial(day: int, key: SigningKey) -> int:
        return track(train(f"2026_12_{day:02}"), world.settings, key=key, out=Path("packages")).statement.serial

    assert [serial(1, world.analyst), serial(2, other), serial(3, world.analyst)] == [1, 2, 3]
    world.policy("staging", keys=keys, revoked_keys=[world.analyst.key_id])
    git(world.folder / "work", "rm", "--quiet", "policies/production.yaml")
    world.push("Production has no policy")
    assert serial(4, other) == 4
    over = {"key": keys[0], "status": "revoked", "not_after": "2020-01-01T00:00:00Z"}
    world.policy("staging", keys=[over, keys[1]], minimum_serial=3)
    assert serial(5, SigningKey.generate()) == 5
