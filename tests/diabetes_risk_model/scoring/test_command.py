"""The command: what it says, its exit status, and that it goes on where it was stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from diabetes_risk_model.cli import main
from diabetes_risk_model.scoring.command import model_configuration
from signed_parameters import ConfigurationError

COMMAND = str(Path(sys.executable).with_name("diabetes-risk-model"))
DOCUMENTATION = Path(__file__).parents[3] / "docs/scoring.md"
CONFIGURATIONS = Path(__file__).parents[3] / "configuration"

Refuse = Callable[..., Result]


@pytest.fixture
def configuration(bucket: Any, write_configuration: Callable[..., Path]) -> Path:
    return write_configuration(bucket.settings())


@pytest.fixture
def refuse(configuration: Path) -> Refuse:
    """`refuse(code, "in.csv", "out.csv")` runs the command, which has to end with a status before it starts workers."""

    def run(code: int, *arguments: object) -> Result:
        result = CliRunner().invoke(main, ["score", *map(str, arguments), "--config", str(configuration)])
        assert result.exit_code == code, result.output
        assert isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


def test_a_run_that_was_killed_goes_on_where_it_was(
    csv_source: Path, answers: list[float], configuration: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores.parquet"
    options = ["--config", str(configuration), "--workers", "1", "--partition-rows", "200"]
    command = [COMMAND, "score", str(csv_source), str(output), *options]
    unfinished = tmp_path / ".scores.parquet.unfinished"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        while not any(unfinished.glob("*/*.scores")):
            assert killed.poll() is None
            time.sleep(0.001)
        killed.send_signal(signal.SIGKILL)
    assert not output.exists()
    assert [path.name for path in tmp_path.iterdir() if "scores" in path.name] == [unfinished.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "of them done before" in done.stdout
    assert "scored 20,000 rows into" in done.stdout
    assert pq.read_table(output)["probability"].to_pylist() == answers
    assert sorted(path.name for path in tmp_path.iterdir() if "scores" in path.name) == [
        "scores.parquet",
        "scores.parquet.rejects.csv",
    ]


def test_what_the_documentation_says_to_try_works(trained_model: Any, tmp_path: Path) -> None:
    block = next(part for part in DOCUMENTATION.read_text().split("```") if "signed-parameters keygen" in part)
    artefacts = tmp_path / "build/demo/artefacts"
    artefacts.mkdir(parents=True)
    for name, path in trained_model.files.items():
        shutil.copy(path, artefacts / name)
    environment = {**os.environ, "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e"], input=block, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scored 70,692 rows into build/scoring/scores.parquet" in done.stdout
    assert len(pq.read_table(tmp_path / "build/scoring/scores.parquet")) == 70_692


def test_a_tampered_package_ends_with_1(source: Path, bucket: Any, refuse: Refuse, tmp_path: Path) -> None:
    content = bucket.package.read_bytes()
    bucket.package.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "DigestMismatch" in refuse(1, source, tmp_path / "out.parquet").stderr
    assert not list(tmp_path.glob("*out.parquet*"))


def test_a_file_that_is_missing_ends_with_3(refuse: Refuse, tmp_path: Path) -> None:
    assert "NotFound" in refuse(3, tmp_path / "in.csv", tmp_path / "out.csv").stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["in.csv", "out.xlsx"], "ends with .parquet or .csv"),
        (["in.csv", "missing/out.csv"], "Make the folder of the output first"),
        (["in.csv", "s3://"], "is no output"),
        (["in.xlsx", "out.csv"], "there is nothing to score|of an unknown kind"),
        (["*.parquet", "out.csv"], "there is nothing to score"),
        (["in.csv", "out.csv", "--workers", "2", "--scheduler", "tls://h:1"], "--workers is for this machine"),
        (["in.csv", "out.csv", "--workers", "0"], "Invalid value for '--workers'"),
        (["in.csv", "out.csv", "--scheduler", "h:1"], "expected tls://HOST:PORT"),
        (["in.csv", "out.csv", "--scheduler", "tcp://h:1"], "can run code on its workers"),
    ],
)
def test_what_makes_no_sense_ends_with_2(
    arguments: list[str], says: str, refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("BMI,GenHlth,Age,Income\n20,1,1,1\n")
    (tmp_path / "in.xlsx").write_text("")
    stderr = " ".join(refuse(2, *arguments).stderr.split())
    assert any(each in stderr for each in says.split("|"))
    assert not list(tmp_path.glob("*out.csv*"))


def test_what_is_not_installed_is_named(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diabetes_risk_model.scoring.command.find_spec", lambda name: None)
    assert "signed-parameters[batch]" in refuse(2, "in.csv", "out.csv").stderr


def test_the_service_s_own_files_are_read_with_references_as_they_are() -> None:
    for path in CONFIGURATIONS.glob("*rest_config.yaml"):
        assert model_configuration(path)["minio_secret_key"] == "${MINIO_SECRET_KEY}"


def test_a_file_for_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("models: [{class_path: other.Model, create_endpoint: true}]")
    with pytest.raises(ConfigurationError, match="has no model of the class"):
        model_configuration(tmp_path / "c.yaml")
