"""Input and output in the clouds of others: the same scores, the same errors, and a run that was stopped goes on."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.scoring import run as scoring_run
from diabetes_risk_model.scoring.assembly import Assembly
from diabetes_risk_model.scoring.inputs import opened
from diabetes_risk_model.scoring.parts import Parts
from diabetes_risk_model.scoring.run import Summary
from signed_parameters import ConfigurationError, NotFound, Unavailable
from signed_parameters.storage import Storage

Score = Callable[..., Summary]

ROWS = 20_000
LONGEST = 10 << 20


@pytest.fixture(params=["az", "gs", "s3"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a new folder in a cloud, which the environment says how to reach."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "AZ_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)
    if request.param == "az":
        environment, bucket = request.getfixturevalue("azure_server").environment, "models"
    elif request.param == "gs":
        url, bucket = request.getfixturevalue("proxy")(request.getfixturevalue("google_server")).url, "models"
        environment = {"STORAGE_EMULATOR_HOST": url.removeprefix("http://")}
    else:
        server, bucket = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket")
        environment = {"AWS_ENDPOINT_URL": server.url}
        environment |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    opened.cache_clear()
    return f"{request.param}://{bucket}/{secrets.token_hex(4)}"


@pytest.fixture
def folder(cloud: str, source: Path, csv_source: Path) -> Storage:
    """The folder, which holds the survey in both forms."""
    storage = opened(cloud)
    for path in (source, csv_source):
        storage.write(f"in/{path.name}", path)
    return storage


def _probabilities(content: bytes) -> list[float]:
    probabilities: list[float] = pq.read_table(pa.BufferReader(content))["probability"].to_pylist()
    return probabilities


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_run_that_was_stopped_goes_on(
    cloud: str, folder: Storage, kind: str, answers: list[float], run: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, options = f"{cloud}/out/scores.parquet", {"partition_rows": 4_000}
    finish, write, written = Assembly.finish, Parts.write, []

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def count(parts: Parts, first_row: int, *content: Any) -> Any:
        written.append(first_row)
        return write(parts, first_row, *content)

    monkeypatch.setattr(Parts, "write", count)
    monkeypatch.setattr(Assembly, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        run(f"{cloud}/in/*.{kind}", output, **options)
    parts = [name for name in folder.names(".scores") if name.startswith("out/.scores")]
    assert len(parts) == len(written) >= 5
    assert not [name for name in folder.names(".parquet") if name.startswith("out/scores")]
    folder.remove(sorted(parts)[2])
    monkeypatch.setattr(Assembly, "finish", finish)
    run(f"{cloud}/in/*.{kind}", output, **options)
    assert len(written) == len(parts) + 1
    assert written[-1] == sorted(written[:-1])[2]
    assert _probabilities(folder.read("out/scores.parquet", LONGEST)) == answers
    found = sorted(name for name in folder.names() if name.startswith("out/"))
    assert found == ["out/scores.parquet", "out/scores.parquet.rejects.csv"]


def test_errors_are_the_same_everywhere(cloud: str, folder: Storage, run: Score) -> None:
    with pytest.raises(NotFound, match=r"none\.csv does not exist"):
        run(f"{cloud}/in/none.csv", f"{cloud}/out.csv")
    with pytest.raises(DataError, match="there is nothing to score"):
        run(f"{cloud}/in/*.txt", f"{cloud}/out.csv")
    with pytest.raises(DataError, match="both Parquet and CSV"):
        run(f"{cloud}/in/", f"{cloud}/out.csv")
    folder.write_bytes("in/cut.parquet", folder.read("in/survey.parquet", LONGEST)[:-100])
    with pytest.raises(DataError, match="expected a Parquet file"):
        run(f"{cloud}/in/cut.parquet", f"{cloud}/out.csv")
    folder.write_bytes("out.csv", b"")
    with pytest.raises(ConfigurationError, match="exists already"):
        run(f"{cloud}/in/survey.csv", f"{cloud}/out.csv")
    assert run(f"{cloud}/in/survey.csv", f"{cloud}/out.csv", overwrite=True).scored == ROWS


def test_a_file_that_is_changed_meanwhile_stops_the_run(
    cloud: str, folder: Storage, run: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    divide = scoring_run.divide

    def divide_and_change(*arguments: Any) -> Any:
        partitions = divide(*arguments)
        content = folder.read("in/survey.csv", LONGEST)
        folder.write_bytes("in/survey.csv", content.replace(b"\n0,", b"\n1,"), overwrite=True)
        return partitions

    monkeypatch.setattr(scoring_run, "divide", divide_and_change)
    with pytest.raises(DataError, match="was changed while it was being scored"):
        run(f"{cloud}/in/survey.csv", f"{cloud}/out.csv")
    assert not [name for name in folder.names() if name == "out.csv"]


def test_a_cloud_that_does_not_answer(run: Score, monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
    opened.cache_clear()
    with pytest.raises(Unavailable):
        run(source, "gs://models/out.csv")
