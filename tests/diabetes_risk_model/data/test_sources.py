"""Sources: chosen in the stated order, never silently, the same rows for the same seed."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from diabetes_risk_model.data.columns import COLUMNS, TARGET
from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.data.errors import DataError, InvalidSurveyError, KaggleError, SurveyFileError
from diabetes_risk_model.data.kaggle_file import FILE, SHA256
from diabetes_risk_model.data.sources import load_survey


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own file, credentials and cache out of the tests."""
    for name in ("DIABETES_DATA", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DIABETES_DATA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def rows() -> pd.DataFrame:
    return draw(400, seed=6)


@pytest.fixture
def path(tmp_path: Path, rows: pd.DataFrame) -> Path:
    """A file like the original one: codes as names, values such as 1.0."""
    file = tmp_path / "survey.csv"
    rows.set_axis([column.code for column in COLUMNS], axis=1).astype(float).to_csv(file, index=False)
    return file


def test_a_file_keeps_its_rows_and_their_order(path: Path, rows: pd.DataFrame) -> None:
    survey = load_survey(str(path))
    pd.testing.assert_frame_equal(survey.frame, rows)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert survey.source == "file"
    assert survey.description == f"file survey.csv: 400 rows, SHA-256 {sha256}"
    assert json.loads(json.dumps(survey.manifest())) == {
        "source": "file",
        "description": survey.description,
        "rows": 400,
        "sha256": sha256,
        "columns": list(rows.columns),
    }


def test_a_file_may_have_the_readable_names(tmp_path: Path, rows: pd.DataFrame) -> None:
    rows.to_csv(tmp_path / "readable.csv", index=False)
    pd.testing.assert_frame_equal(load_survey(str(tmp_path / "readable.csv")).frame, rows)


def test_a_sample_is_shuffled_keeps_the_classes_and_is_the_same_for_the_same_seed(
    path: Path, rows: pd.DataFrame
) -> None:
    survey = load_survey(str(path), rows=101, seed=4)
    assert survey.frame[TARGET.name].sum() in (50, 51)
    assert "a sample of 101 of 400 rows (seed 4)" in survey.description
    assert survey.manifest()["sample_seed"] == 4
    pd.testing.assert_frame_equal(survey.frame, load_survey(str(path), rows=101, seed=4).frame)
    assert not survey.frame.equals(load_survey(str(path), rows=101, seed=5).frame)
    every = {tuple(row) for row in rows.to_numpy().tolist()}
    assert all(tuple(row) in every for row in survey.frame.to_numpy().tolist())
    assert 0.2 < survey.frame[TARGET.name].head(50).mean() < 0.8


def test_a_sample_of_uneven_classes_keeps_their_shares_and_at_least_one_row_of_each(
    tmp_path: Path, rows: pd.DataFrame
) -> None:
    uneven = pd.concat([rows[rows[TARGET.name] == 0], rows[rows[TARGET.name] == 1].head(20)])
    uneven.to_csv(tmp_path / "uneven.csv", index=False)
    assert load_survey(str(tmp_path / "uneven.csv"), rows=110).frame[TARGET.name].sum() == 10
    assert load_survey(str(tmp_path / "uneven.csv"), rows=2).frame[TARGET.name].sum() == 1


def test_more_rows_than_there_are_is_the_whole_file(path: Path, rows: pd.DataFrame) -> None:
    survey = load_survey(str(path), rows=401)
    pd.testing.assert_frame_equal(survey.frame, rows)
    assert "sample" not in survey.description


def test_embedded_rows_can_be_any_number(rows: pd.DataFrame) -> None:
    survey = load_survey("embedded", rows=400, seed=6)
    pd.testing.assert_frame_equal(survey.frame, rows)
    assert survey.source == "embedded"
    assert survey.description == "the embedded survey (as asked for): 400 synthetic rows drawn with seed 6"
    assert survey.manifest()["seed"] == 6
    assert len(load_survey("embedded").frame) == 70_692


def test_auto_takes_the_file_of_the_environment_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIABETES_DATA", str(path))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "unused")
    assert load_survey().source == "file"


def test_auto_takes_kaggle_next_from_its_cache(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "unused")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_bytes(path.read_bytes())
    survey = load_survey()
    assert survey.source == "kaggle"
    assert survey.manifest()["sha256"] != SHA256
    assert survey.description.endswith("WARNING: its digest is not the known one, Kaggle's file changed")


def test_auto_takes_the_embedded_survey_last_and_says_why() -> None:
    survey = load_survey(rows=10)
    assert survey.source == "embedded"
    assert "DIABETES_DATA is not set and there are no Kaggle credentials" in survey.description


def test_a_source_that_fails_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DIABETES_DATA", str(tmp_path / "gone.csv"))
    with pytest.raises(SurveyFileError, match=r"gone\.csv does not exist\..*environment variable DIABETES_DATA"):
        load_survey()
    with pytest.raises(SurveyFileError, match="embeded does not exist"):
        load_survey("embeded")


def test_a_cached_file_that_is_damaged_says_that_it_can_be_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_text("not,a,survey\n1,2,3\n")
    with pytest.raises(KaggleError, match=r"missing columns .* to fetch it again, delete it first"):
        load_survey("kaggle")


def test_errors_in_a_file_name_it(path: Path) -> None:
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace(",", ",7", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(InvalidSurveyError, match=r"survey\.csv: The survey has 1 value .*\n  line 5, column HighBP"):
        load_survey(str(path))


def test_a_file_with_one_class_is_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    rows[rows[TARGET.name] == 0].to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(InvalidSurveyError, match="is 0 in every row; expected both 0 and 1"):
        load_survey(str(tmp_path / "one.csv"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": " "}, "The source is empty"),
        ({"rows": 1}, "Cannot load 1 rows; expected at least 2"),
        ({"rows": 0}, "Cannot load 0 rows"),
        ({"source": "embedded", "rows": 5_000_001}, "expected at most 5,000,000"),
        ({"seed": -1}, "Cannot use seed -1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_survey(**arguments)  # type: ignore[arg-type]
