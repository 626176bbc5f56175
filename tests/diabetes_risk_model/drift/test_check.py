"""The check on real scores: what it finds, and what it refuses."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.drift.check import Result
from diabetes_risk_model.drift.comparison import Status, Thresholds
from diabetes_risk_model.drift.counting import count_scores
from diabetes_risk_model.drift.training_profile import NAMES, TrainingProfile
from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.progress import Bar
from diabetes_risk_model.scoring.inputs import find_files
from signed_parameters import ConfigurationError, DigestMismatch, MalformedPackage, NotFound, SigningKey, UnknownKey
from tests.diabetes_risk_model.drift.conftest import older_rows, same_rows

Check = Callable[..., Result]
Scored = Callable[..., tuple[Path, Path]]
TEXTS = {"general_health": ("GeneralHealth", GeneralHealth), "age": ("Age", Age), "income": ("Income", Income)}


def statuses(result: Result) -> dict[str, Status]:
    return {each.training.name: each.status for each in result.columns}


def counts(result: Result) -> dict[str, tuple[int, ...]]:
    return {each.training.name: (*each.batch.counts, each.batch.missing) for each in result.columns}


def test_rows_like_those_of_training_have_not_drifted(check: Check, scored: Scored, tmp_path: Path) -> None:
    source, scores = scored(same_rows())
    result = check(scores, source)
    assert statuses(result) == dict.fromkeys(NAMES, Status.STABLE)
    assert (result.status, result.scored, result.rejected) == (Status.STABLE, 5_000, 0)
    assert "No drift was found" in (tmp_path / "report.html").read_text()


def test_older_people_are_found_and_what_did_not_change_is_not_accused(check: Check, scored: Scored) -> None:
    source, scores = scored(older_rows())
    found = statuses(check(scores, source))
    assert found["Age"] is Status.DRIFT
    assert {found["BMI"], found["GeneralHealth"], found["Income"]} == {Status.STABLE}


def test_every_row_is_counted_in_its_bin(check: Check, scored: Scored, profile: TrainingProfile) -> None:
    frame = same_rows(4_321).astype(float)
    frame.loc[::7, "Income"] = np.nan
    source, scores = scored(frame)
    found = counts(check(scores, source))
    for name in frame.columns:
        expected = np.zeros(len(profile[name].counts) + 1, int)
        for value in frame[name]:
            expected[-1 if np.isnan(value) else profile[name].bin(value)] += 1
        assert found[name] == tuple(expected.tolist())
    table = pq.read_table(scores).to_pandas()
    assert found["risk"] == (*table["risk"].value_counts()[["NO_DIABETES", "DIABETES"]], 0)
    cuts = [-np.inf, *profile["probability"].cuts, np.inf]
    bins = pd.cut(table["probability"], cuts, right=False).value_counts(sort=False)
    assert found["probability"] == (*bins, 0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_codes_and_words_csv_and_parquet_are_counted_alike(check: Check, scored: Scored, kind: str) -> None:
    frame = same_rows(3_000)
    frame = frame[frame["BMI"].between(15, 60)]
    worded = pd.DataFrame({"body_mass_index": frame["BMI"]})
    for name, (column, texts) in TEXTS.items():
        worded[name] = frame[column].map(lambda code, texts=texts: list(texts)[int(code) - 1].value)
    coded, scores = scored(frame, "coded", kind)
    other, other_scores = scored(worded, "worded", kind)
    assert counts(check(scores, coded)) == counts(check(other_scores, other, overwrite=True))


def test_rejected_rows_are_counted_with_and_without_the_input(check: Check, scored: Scored) -> None:
    frame = same_rows(1_000)
    frame.loc[:199, "Age"] = 99
    frame.loc[100:119, "Income"] = -1
    source, scores = scored(frame)
    with_input, without = check(scores, source), check(scores, overwrite=True)
    for result in (with_input, without):
        assert (result.scored, result.rejected) == (800, 200)
        assert (result.rejected_status, result.status) == (Status.DRIFT, Status.DRIFT)
    assert len(without.columns) == 2
    assert sum(counts(with_input)["Income"]) == 800
    lenient = check(scores, source, overwrite=True, thresholds=Thresholds(rejected=0.2))
    assert lenient.rejected_status is Status.STABLE


def test_a_batch_of_which_nothing_fits_has_drifted_and_an_empty_one_is_refused(check: Check, scored: Scored) -> None:
    source, scores = scored(same_rows(50).assign(Age=99))
    assert check(scores, source).status is Status.DRIFT
    source, scores = scored(same_rows(50).iloc[:0], "empty")
    with pytest.raises(DataError, match="there is no row in the scores"):
        check(scores, source, overwrite=True)


def test_the_profile_comes_from_the_verified_package_only(check: Check, profiled: Any, scored: Scored) -> None:
    source, scores = scored(same_rows(100))
    stranger = SigningKey.generate().verification_key
    with pytest.raises(UnknownKey):
        check(scores, source, configuration=profiled.settings(parameters_verification_keys=[str(stranger)]))
    content = profiled.package.read_bytes()
    assert content.count(b'"rows": 2000') == 1
    profiled.package.write_bytes(content.replace(b'"rows": 2000', b'"rows": 2001'))
    with pytest.raises(DigestMismatch):
        check(scores, source)


def test_a_package_of_before_is_told_so(check: Check, bucket: Any, scored: Scored, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no training_profile\.json.*Train and package the model again"):
        check(tmp_path / "scores.parquet", configuration=bucket.settings())


def test_a_signed_file_that_is_no_profile_is_refused(
    check: Check, make_bucket: Any, trained_model: Any, tmp_path: Path
) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    bucket = make_bucket(files={**trained_model.files, "training_profile.json": tmp_path / "wrong.json"}, serial=2)
    with pytest.raises(MalformedPackage, match="is no training profile"):
        check(tmp_path / "scores.parquet", configuration=bucket.settings())


def test_scores_of_another_package_are_refused(check: Check, scored: Scored) -> None:
    source, scores = scored(same_rows(100))
    table = pq.read_table(scores)
    other = {**table.schema.metadata, b"diabetes_risk_model.package_digest": b"blake3:00"}
    pq.write_table(table.replace_schema_metadata(other), scores)
    with pytest.raises(ConfigurationError, match="was scored with another package"):
        check(scores, source)


def test_another_input_than_the_one_that_was_scored_is_refused(check: Check, scored: Scored) -> None:
    _, scores = scored(same_rows(100))
    source, _ = scored(same_rows(90), "other")
    with pytest.raises(DataError, match="the scores are not those of"):
        check(scores, source)


def change_column(name: str, values: Callable[[pa.ChunkedArray], Any]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        table = pq.read_table(path)
        place = table.schema.get_field_index(name)
        pq.write_table(table.set_column(place, name, pa.array(values(table[name]))), path)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"PAR1"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b"\x00" * 500 + path.read_bytes()[500:]),
        lambda path: pq.write_table(pq.read_table(path).drop_columns(["probability"]), path),
        change_column("probability", lambda column: [1.5] * len(column)),
        change_column("probability", lambda column: [None] * len(column)),
        change_column("probability", lambda column: ["x"] * len(column)),
        change_column("risk", lambda column: ["MAYBE"] * len(column)),
        change_column("risk", lambda column: [None] * len(column)),
    ],
)
def test_what_score_does_not_write_is_refused(
    change: Callable[[Path], None], check: Check, scored: Scored, tmp_path: Path
) -> None:
    _, scores = scored(same_rows(200))
    change(scores)
    with pytest.raises((DataError, ConfigurationError), match=r"is not what|scored with another package"):
        check(scores)
    assert not (tmp_path / "report.html").exists()


def test_scores_as_csv_are_refused(check: Check, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("row,risk,probability\n0,DIABETES,0.9\n")
    with pytest.raises(DataError, match=r"file of another kind.*ends with \.parquet"):
        check(tmp_path / "scores.csv")


def test_rejects_that_are_gone_are_missed(check: Check, scored: Scored) -> None:
    _, scores = scored(same_rows(100))
    scores.with_name(scores.name + ".rejects.csv").unlink()
    with pytest.raises(NotFound):
        check(scores)


def test_the_last_of_several_batches_names_its_input_and_its_report(
    check: Check, scored: Scored, tmp_path: Path
) -> None:
    scored(same_rows(100), "2026-11-20")
    scored(same_rows(60), "2026-11-21")
    result = check(
        tmp_path / "2026-11-2[0-9].parquet",
        tmp_path / "{name}.in.parquet",
        report=tmp_path / "{name}.html",
        last=True,
    )
    assert (result.scored, Path(result.report).name) == (60, "2026-11-21.html")
    assert Path(result.report).is_file()
    with pytest.raises(ConfigurationError, match="stands for one file of scores"):
        check(tmp_path / "2026-11-2[0-9].parquet", report=tmp_path / "{name}.html")
    assert check(tmp_path / "2026-11-2[0-9].parquet").scored == 160


def test_a_report_is_replaced_only_when_asked(check: Check, scored: Scored, tmp_path: Path) -> None:
    _, scores = scored(same_rows(100))
    check(scores)
    with pytest.raises(ConfigurationError, match="exists already"):
        check(scores)
    check(scores, overwrite=True)
    with pytest.raises(ConfigurationError, match="is no report"):
        check(scores, report=tmp_path / "report.pdf")
    with pytest.raises(ConfigurationError, match="is no folder"):
        check(scores, report=tmp_path / "missing" / "report.html")


def test_from_a_bucket_into_a_bucket(
    check: Check, scored: Scored, s3_server: Any, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    client = s3_server.settings.client()
    source, scores = scored(older_rows(2_000))
    for path, name in ((source, "in/b.parquet"), (scores, "out/b.parquet")):
        client.fput_object(s3_bucket, name, str(path))
    result = check(
        f"s3://{s3_bucket}/out/*.parquet",
        f"s3://{s3_bucket}/in/{{name}}.parquet",
        report=f"s3://{s3_bucket}/drift/{{name}}.html",
        last=True,
    )
    assert statuses(result)["Age"] is Status.DRIFT
    answer = client.get_object(s3_bucket, "drift/b.html")
    try:
        assert b"has drifted away" in answer.read()
    finally:
        answer.close()
        answer.release_conn()


def test_a_batch_is_counted_in_pieces(profile: TrainingProfile, tmp_path: Path) -> None:
    """Ten times the rows take no more memory."""
    peaks = []
    for rows in (100_000, 1_000_000):
        numbers = np.random.default_rng(1).random(rows)
        risks = pa.DictionaryArray.from_arrays((numbers > 0.5).view(np.int8), ["NO_DIABETES", "DIABETES"])
        path = tmp_path / f"{rows}.parquet"
        pq.write_table(pa.table({"risk": risks, "probability": numbers}), path, row_group_size=50_000)
        gathered: list[int] = []
        files = find_files(str(path))
        del numbers, risks
        tracemalloc.start()
        counted = count_scores(files, profile, Bar(gathered.append))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sum(gathered) == counted[0].rows == counted[1].rows == rows
    assert peaks[1] < 1.5 * peaks[0], peaks
