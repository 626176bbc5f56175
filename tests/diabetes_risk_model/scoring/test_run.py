"""Whole runs: what comes out is the same however the work is divided, and a run that is refused leaves nothing."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.scoring import run as scoring_run
from diabetes_risk_model.scoring.assembly import Assembly
from diabetes_risk_model.scoring.inputs import find_files
from diabetes_risk_model.scoring.run import Summary
from signed_parameters import ConfigurationError, DigestMismatch, StorageError
from signed_parameters.digests import DigestAlgorithm, digest_bytes

Score = Callable[..., Summary]

ROWS = 20_000


def _rejects(output: Path) -> list[list[str]]:
    with Path(f"{output}.rejects.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_every_row_gets_the_service_s_answer(source: Path, answers: list[float], run: Score, tmp_path: Path) -> None:
    summary = run(source, tmp_path / "scores.parquet")
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert (summary.scored, summary.rejected) == (ROWS, 0)
    assert scores["row"].to_pylist() == list(range(ROWS))
    assert scores["probability"].to_pylist() == answers
    assert scores["risk"].to_pylist() == ["DIABETES" if p > 0.5 else "NO_DIABETES" for p in answers]
    assert _rejects(tmp_path / "scores.parquet") == []


def test_the_output_says_which_package_it_is_of(source: Path, run: Score, bucket: Any, tmp_path: Path) -> None:
    run(source, tmp_path / "scores.parquet")
    run(source, tmp_path / "scores.csv")
    kept = pq.read_schema(tmp_path / "scores.parquet").metadata
    beside = json.loads((tmp_path / "scores.csv.metadata.json").read_bytes())
    assert beside["serial"] == "1"
    assert beside["package_digest"] == str(digest_bytes(bucket.package.read_bytes(), DigestAlgorithm.BLAKE3))
    assert {name.decode(): value.decode() for name, value in kept.items() if b"diabetes" in name} == {
        f"diabetes_risk_model.{name}": value for name, value in beside.items()
    }


@pytest.mark.parametrize("partition_rows", [1, 999, 3_000, 10**9])
def test_the_size_of_partitions_changes_nothing(
    source: Path, csv_source: Path, answers: list[float], run: Score, tmp_path: Path, partition_rows: int
) -> None:
    rows = max(partition_rows, 97)  # as many partitions of one line each would take a minute
    run(source, tmp_path / "scores.parquet", partition_rows=partition_rows)
    run(csv_source, tmp_path / "scores.csv", partition_rows=rows)
    assert pq.read_table(tmp_path / "scores.parquet")["probability"].to_pylist() == answers
    scores = pc.read_csv(tmp_path / "scores.csv")
    assert scores["row"].to_pylist() == list(range(ROWS))
    assert scores["probability"].to_pylist() == answers


def test_several_files_are_one_table(survey: pa.Table, answers: list[float], run: Score, tmp_path: Path) -> None:
    (tmp_path / "in/b").mkdir(parents=True)
    for name, start, rows in [("a.parquet", 0, 5_000), ("b/c.parquet", 5_000, 0), ("d.parquet", 5_000, ROWS)]:
        pq.write_table(survey.slice(start, rows), tmp_path / "in" / name)
    (tmp_path / "in/_SUCCESS").touch()
    run(tmp_path / "in", tmp_path / "all.parquet")
    run(tmp_path / "in/[ad].parquet", tmp_path / "some.parquet")
    for name in ("all.parquet", "some.parquet"):
        scores = pq.read_table(tmp_path / name)
        assert scores["row"].to_pylist() == list(range(ROWS))
        assert scores["probability"].to_pylist() == answers


def test_readable_answers_are_the_codes_they_stand_for(run: Score, tmp_path: Path) -> None:
    codes = pa.table({"BMI": [20.0, 30.5, None], "GeneralHealth": [1, 5, None], "Age": [1, 13, 3], "Income": [8, 1, 2]})
    texts = {
        "general_health": [GeneralHealth.EXCELLENT, GeneralHealth.POOR, None],
        "age": [Age.FROM_18_TO_24, Age.FROM_80, Age.FROM_30_TO_34],
        "income": [Income.FROM_75_000, Income.UNDER_10_000, Income.UNDER_15_000],
        "body_mass_index": ["20", "30.5", None],
    }
    pq.write_table(codes, tmp_path / "codes.parquet")
    table = pa.table({name: pa.array([v and str(v) for v in values], pa.string()) for name, values in texts.items()})
    pq.write_table(table, tmp_path / "texts.parquet")
    pc.write_csv(table, tmp_path / "texts.csv")
    found = []
    for name in ("codes.parquet", "texts.parquet", "texts.csv"):
        run(tmp_path / name, tmp_path / "scores.parquet", overwrite=True)
        scores = pq.read_table(tmp_path / "scores.parquet")["probability"].to_pylist()
        found.append(scores)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 3


def test_rows_that_do_not_fit_are_told_and_the_others_scored(
    csv_source: Path, answers: list[float], run: Score, tmp_path: Path
) -> None:
    lines = csv_source.read_bytes().splitlines()
    lines[1 + 5] = b"0,9,6,14,x"
    lines[1 + 700] = b"1,2,3"
    lines[1 + 19_999] = b'0,,"",\xff,1'
    csv_source.write_bytes(b"\n".join(lines))
    for partition_rows in (500, 10**6):
        summary = run(csv_source, tmp_path / "scores.parquet", partition_rows=partition_rows, overwrite=True)
        assert (summary.scored, summary.rejected) == (ROWS - 3, 3)
        told = _rejects(tmp_path / "scores.parquet")
        assert [(row, column) for row, _, _, column, _ in told] == [
            *(("5", column) for column in ("BMI", "GenHlth", "Age", "Income")),
            ("700", ""),
            ("19999", "Age"),
        ]
        assert told[0][4] == "expected a number from 10 to 100; found '9'"
        assert told[4][4] == "expected 5 fields; found 3"
        scores = pq.read_table(tmp_path / "scores.parquet")
        kept = [row for row in range(ROWS) if row not in (5, 700, 19_999)]
        assert scores["row"].to_pylist() == kept
        assert scores["probability"].to_pylist() == [answers[row] for row in kept]


def test_a_row_s_number_in_its_file_is_told_too(run: Score, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "in" / name).write_text("BMI,GenHlth,Age,Income\n20,1,1,1\n20,1,1,1\n20,1,1,9\n")
    run(tmp_path / "in", tmp_path / "scores.parquet")
    told = [(row, Path(file).name, there) for row, file, there, _, _ in _rejects(tmp_path / "scores.parquet")]
    assert told == [("2", "a.csv", "2"), ("5", "b.csv", "2")]


def test_nothing_to_score_gives_an_output_without_rows(run: Score, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("BMI,GenHlth,Age,Income\n")
    assert run(tmp_path / "in.csv", tmp_path / "scores.parquet").scored == 0
    assert len(pq.read_table(tmp_path / "scores.parquet")) == 0


def test_a_tampered_package_stops_the_run_before_a_row_is_written(
    source: Path, run: Score, bucket: Any, tmp_path: Path
) -> None:
    content = bytearray(bucket.package.read_bytes())
    content[len(content) // 2] ^= 1
    bucket.package.write_bytes(content)
    before = _left(tmp_path)
    with pytest.raises(DigestMismatch):
        run(source, tmp_path / "scores.parquet")
    assert _left(tmp_path) == before


def test_a_package_that_is_exchanged_meanwhile_stops_the_run(
    source: Path, run: Score, make_bucket: Any, trained_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def package(content: str, **options: Any) -> Any:
        (tmp_path / "note.txt").write_text(content)
        return make_bucket(files={**trained_model.files, "note.txt": tmp_path / "note.txt"}, **options)

    def find_and_exchange(address: str) -> Any:
        bucket.package.unlink()
        bucket.package.with_name(f"{bucket.package.name}.dsse.json").unlink()
        package("exchanged", serial=2, key=bucket.key)
        return find_files(address)

    bucket = package("at the start")
    monkeypatch.setattr(scoring_run, "find_files", find_and_exchange)
    with pytest.raises(DigestMismatch, match="was exchanged while rows were being scored"):
        run(source, tmp_path / "scores.parquet", configuration=bucket.settings())
    assert not (tmp_path / "scores.parquet").exists()


def test_an_output_that_is_there_is_not_replaced_by_accident(source: Path, run: Score, tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match="exists already"):
        run(source, tmp_path / "scores.parquet")
    assert (tmp_path / "scores.parquet").read_bytes() == b"precious"
    run(source, tmp_path / "scores.parquet", overwrite=True)
    assert len(pq.read_table(tmp_path / "scores.parquet")) == ROWS


def test_the_input_is_never_replaced(source: Path, run: Score, tmp_path: Path) -> None:
    before = source.read_bytes()
    for given in (source, tmp_path):
        with pytest.raises(ConfigurationError, match="is among what is to be scored"):
            run(given, source, overwrite=True)
    assert source.read_bytes() == before


def test_only_the_output_and_what_tells_of_it_is_left(source: Path, run: Score, tmp_path: Path) -> None:
    before = set(_left(tmp_path))
    run(source, tmp_path / "scores.csv")
    assert set(_left(tmp_path)) - before == {"scores.csv", "scores.csv.rejects.csv", "scores.csv.metadata.json"}


def test_what_was_done_before_is_not_done_again(
    source: Path, answers: list[float], run: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Assembly.finish
    monkeypatch.setattr(Assembly, "finish", _stop)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "scores.parquet", partition_rows=1_000)
    (folder,) = (tmp_path / ".scores.parquet.unfinished").iterdir()
    (part,) = folder.glob("000000000003000-*.scores")
    part.unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if "3000" not in path.name}
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "scores.parquet", partition_rows=1_000)
    assert part.exists()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if "3000" not in path.name} == kept
    monkeypatch.setattr(Assembly, "finish", finish)
    run(source, tmp_path / "scores.parquet", partition_rows=1_000)
    assert pq.read_table(tmp_path / "scores.parquet")["probability"].to_pylist() == answers
    assert not (tmp_path / ".scores.parquet.unfinished").exists()


def test_parts_of_another_input_are_not_used(
    source: Path, survey: pa.Table, answers: list[float], run: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Assembly.finish
    pq.write_table(survey.slice(0, 10_000), source)
    monkeypatch.setattr(Assembly, "finish", _stop)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "scores.parquet")
    monkeypatch.setattr(Assembly, "finish", finish)
    pq.write_table(survey, source)
    run(source, tmp_path / "scores.parquet")
    assert pq.read_table(tmp_path / "scores.parquet")["probability"].to_pylist() == answers


@pytest.mark.parametrize("output", ["scores.parquet", "scores.csv"])
@pytest.mark.parametrize("ending", [".scores", ".rejects", "the name"])
def test_a_part_that_was_cut_off_stops_the_run(
    survey: pa.Table, run: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, output: str
) -> None:
    source = tmp_path / "in.parquet"
    bmi = [-1.0, *survey["BMI"].to_pylist()[1:]]
    pq.write_table(survey.set_column(survey.column_names.index("BMI"), "BMI", [bmi]), source)
    finish = Assembly.finish
    monkeypatch.setattr(Assembly, "finish", _stop)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / output)
    if ending == "the name":
        (part,) = (tmp_path / f".{output}.unfinished").glob("*/*.scores")
        part.rename(part.with_name("0.scores"))
    else:
        (part,) = (tmp_path / f".{output}.unfinished").glob(f"*/*{ending}")
        part.write_bytes(part.read_bytes()[:-3])
    monkeypatch.setattr(Assembly, "finish", finish)
    with pytest.raises(StorageError, match="Remove the folder"):
        run(source, tmp_path / output)
    assert not (tmp_path / output).exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"BMI": [1], "GenHlth": [1], "Age": [1]}, "no column for income"),
        ({"BMI": [1], "GenHlth": [1], "GeneralHealth": [1], "Age": [1], "Income": [1]}, "several columns"),
        ({"BMI": [b"1"], "GenHlth": [1], "Age": [1], "Income": [1]}, "cannot hold an answer"),
        ({"BMI": [1], "general_health": [1], "Age": [1], "Income": [1]}, "expected texts; found int64"),
    ],
)
def test_columns_that_do_not_fit_are_refused(content: Any, says: str, run: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table(content), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=says):
        run(tmp_path / "in.parquet", tmp_path / "scores.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"no Parquet at all"])
def test_what_is_no_parquet_is_refused(content: bytes, run: Score, tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(content)
    with pytest.raises(DataError, match="expected a Parquet file"):
        run(tmp_path / "in.parquet", tmp_path / "scores.parquet")


def test_damaged_data_is_refused_and_leaves_no_output(source: Path, run: Score, tmp_path: Path) -> None:
    content = bytearray(source.read_bytes())
    content[4:3_000] = bytes(2_996)
    source.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        run(source, tmp_path / "scores.parquet")
    assert not (tmp_path / "scores.parquet").exists()


def test_s3_is_read_and_written(
    source: Path, csv_source: Path, answers: list[float], run: Score, s3_server: Any, s3_bucket: str, monkeypatch: Any
) -> None:
    client = s3_server.settings.client()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    for path, output in ((source, "out/scores.parquet"), (csv_source, "out/of_csv.parquet")):
        client.fput_object(s3_bucket, f"in/{path.name}", str(path))
        run(f"s3://{s3_bucket}/in/*{path.suffix}", f"s3://{s3_bucket}/{output}", partition_rows=4_000)
        with client.get_object(s3_bucket, output) as response:
            scores = pq.read_table(pa.BufferReader(response.read()))
        assert scores["row"].to_pylist() == list(range(ROWS))
        assert scores["probability"].to_pylist() == answers
    names = {item.object_name for item in client.list_objects(s3_bucket, prefix="out/", recursive=True)}
    assert names == {f"out/{name}.parquet{end}" for name in ("scores", "of_csv") for end in ("", ".rejects.csv")}


def test_contributions_add_up(source: Path, answers: list[float], run: Score, tmp_path: Path) -> None:
    run(source, tmp_path / "scores.parquet", explained=True)
    scores = pq.read_table(tmp_path / "scores.parquet")
    base = float(scores.schema.metadata[b"diabetes_risk_model.base_of_contributions"])
    names = ("body_mass_index", "general_health", "age", "income")
    total = base + sum(scores[f"contribution_of_{name}"].to_numpy() for name in names)
    np.testing.assert_allclose(1 / (1 + np.exp(-total)), answers, atol=1e-9)
