"""Deriving the aggregates: the split, the correction for coarse answers, the document and the command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import diabetes_risk_model
from diabetes_risk_model.data import aggregates
from diabetes_risk_model.data.columns import COLUMNS, TARGET
from diabetes_risk_model.data.embedded import GROUPED, draw
from diabetes_risk_model.data.errors import DataError


def test_the_split_is_fixed_keeps_the_classes_even_and_loses_no_row() -> None:
    frame = draw(3000, seed=5)
    fitted, held_out = aggregates.split(frame)
    assert (len(fitted), len(held_out)) == (2000, 1000)
    assert held_out[TARGET.name].mean() == 0.5
    pd.testing.assert_frame_equal(pd.concat([fitted, held_out]).sort_index(), frame)
    pd.testing.assert_frame_equal(aggregates.split(frame)[1], held_out)


def test_the_correlation_behind_coarse_answers_is_found() -> None:
    generator = np.random.default_rng(11)
    behind = generator.multivariate_normal([0, 0, 0], [[1, 0.6, -0.5], [0.6, 1, 0], [-0.5, 0, 1]], size=100_000)
    rows = pd.DataFrame({column.name: np.full(len(behind), column.minimum) for column in COLUMNS})
    rows["Smoker"] = (behind[:, 0] > 0.8).astype(int)
    rows["Stroke"] = (behind[:, 1] > 1.2).astype(int)
    rows["Income"] = 1 + np.searchsorted([-1.5, -1.0, -0.2, 0.1, 0.5, 0.9, 1.4], behind[:, 2])
    place = [[column.name for column in GROUPED].index(name) for name in ("Smoker", "Stroke", "Income")]
    found = aggregates.copula_correlations(rows)
    assert found[place[0], place[1]] == pytest.approx(0.6, abs=0.02)
    assert found[place[0], place[2]] == pytest.approx(-0.5, abs=0.02)
    assert found[place[1], place[2]] == pytest.approx(0.0, abs=0.02)
    assert np.corrcoef(rows["Smoker"], rows["Stroke"])[0, 1] < 0.4


def test_columns_that_are_the_same_answer_twice_still_give_a_positive_definite_matrix() -> None:
    rows = draw(2000, seed=2)
    rows["Fruits"] = rows["Vegetables"] = rows["Smoker"]
    found = aggregates.copula_correlations(rows)
    assert np.linalg.eigvalsh(found).min() > 0.01
    assert np.diag(found) == pytest.approx(1.0)


def test_rare_numbers_of_days_are_evened_out_and_the_others_are_kept() -> None:
    frame = draw(6000, seed=9)
    group = (frame["Diabetes"] == 1) & (frame["GeneralHealth"] == 3)
    raw = np.bincount(frame.loc[group, "PhysicalHealth"], minlength=31)
    both = np.bincount(frame.loc[frame["GeneralHealth"] == 3, "PhysicalHealth"], minlength=31)
    derived = next(item for item in aggregates.derive(frame) if (item["Diabetes"], item["GeneralHealth"]) == (1, 3))
    evened = np.array(derived["counts"]["PhysicalHealth"])
    rare = raw < 40
    assert rare.any()
    assert (evened[~rare] == raw[~rare]).all()
    assert evened.sum() == raw.sum()
    assert np.abs(evened[rare] - both[rare] * raw[rare].sum() / both[rare].sum()).max() <= 1


def test_a_survey_without_a_group_is_refused() -> None:
    frame = draw(2000, seed=2)
    with pytest.raises(DataError, match="No row has Diabetes 1 and GeneralHealth 4"):
        aggregates.derive(frame[(frame["Diabetes"] == 0) | (frame["GeneralHealth"] != 4)])


def test_the_document_is_the_same_for_the_same_survey_and_fits_on_the_split_only() -> None:
    frame = draw(6000, seed=9)
    text = aggregates.document(frame, "ab" * 32)
    assert text == aggregates.document(frame.copy(), "ab" * 32)
    content = json.loads(text)
    assert content["source"] == {"sha256": "ab" * 32, "rows": 6000}
    assert content["groups"] == aggregates.derive(aggregates.split(frame)[0])


def test_the_command_writes_the_aggregates_beside_itself_and_says_so(tmp_path: Path) -> None:
    package = Path(diabetes_risk_model.__file__).parent
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    draw(4000, seed=1).to_csv(tmp_path / "survey.csv", index=False)
    command = [sys.executable, "-m", "diabetes_risk_model.data.aggregates"]

    done = subprocess.run([*command, "survey.csv"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    written = tmp_path / package.name / "data" / "survey_aggregates.json"
    assert done.stdout.startswith(f"Wrote survey_aggregates.json: {written.stat().st_size:,} bytes, from 4,000 rows")
    assert json.loads(written.read_text())["source"]["rows"] == 4000

    failed = subprocess.run([*command, "missing.csv"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("missing.csv does not exist.")


def test_the_command_needs_one_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert aggregates.main([]) == 2
    assert "Usage: python -m diabetes_risk_model.data.aggregates PATH" in capsys.readouterr().err
