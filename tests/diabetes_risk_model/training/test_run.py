import json
import pickle
import struct

import numpy as np
import pytest

from diabetes_risk_model.drift.training_profile import TrainingProfile
from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.training import agreement
from diabetes_risk_model.training.evaluate import PLOTS
from diabetes_risk_model.training.export import TOLERANCE, onnx_answers
from diabetes_risk_model.training.reduce import SELECTED, answers
from diabetes_risk_model.training.run import train, write_table
from diabetes_risk_model.training.table import Tabulated, check

pytestmark = pytest.mark.training


def test_the_files_are_those_of_the_folder(artefacts):
    found = {str(path.relative_to(artefacts.folder)): path for path in artefacts.folder.rglob("*") if path.is_file()}
    assert found == artefacts.files
    assert set(found) == {
        *(
            "model.pkl",
            "model.onnx",
            "model.table",
            "profile.html",
            "metrics.json",
            "training_profile.json",
            "card.md",
            "card.html",
            "manifest.json",
        ),
        *(f"plots/{name}.png" for name in PLOTS),
    }


def test_the_training_profile_counts_every_row_of_the_survey(artefacts, survey):
    profile = TrainingProfile.from_bytes(artefacts.files["training_profile.json"].read_bytes())
    assert profile.rows == len(survey.frame)
    assert list(profile["GeneralHealth"].counts) == survey.frame["GeneralHealth"].value_counts().sort_index().tolist()
    risks = answers(
        pickle.loads(artefacts.files["model.pkl"].read_bytes()),
        survey.frame[[column.name for column in SELECTED]].to_numpy(dtype=float),
    ).labels
    assert profile["risk"].counts == (int((risks == 0).sum()), int((risks == 1).sum()))


def test_every_plot_is_an_image_of_some_size(artefacts):
    for name in PLOTS:
        content = artefacts.files[f"plots/{name}.png"].read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert min(width, height) > 300


def test_metrics_hold_scores_with_their_spread(artefacts):
    metrics = json.loads(artefacts.files["metrics.json"].read_text(encoding="utf-8"))
    assert metrics == artefacts.metrics
    assert {row["id"] for row in metrics["compared"]} == {"lr", "gbc"}
    for key in ("created", "tuned"):
        assert 0.6 < metrics[key]["mean"]["AUC"] < 0.95
        assert 0 < metrics[key]["std"]["F1"] < 0.1
    assert 0.6 < metrics["held_out"]["AUC"] < 0.95
    assert metrics["reduction"]["largest_difference"] == 0.0
    assert metrics["export"]["largest_difference"] <= TOLERANCE
    assert metrics["reduction"]["rows"] == metrics["export"]["rows"] == 5 * 20_000 + 92 * 6 * 14 * 9
    assert metrics["table"]["largest_difference"] == 0.0
    assert metrics["table"]["rows"] > metrics["export"]["rows"] + metrics["table"]["cells"] > metrics["export"]["rows"]


def test_the_manifest_tells_what_the_model_was_made_from(artefacts, survey):
    manifest = json.loads(artefacts.files["manifest.json"].read_text(encoding="utf-8"))
    assert manifest["data"] == survey.manifest()
    assert manifest["columns"] == ["BMI", "GeneralHealth", "Age", "Income"]
    assert (manifest["seed"], manifest["profile"]["folds"]) == (42, 2)
    assert manifest["libraries"]["pycaret"] == "3.3.2"
    assert manifest["parameters_version"] == "2026_11_21"


def test_all_models_give_the_same_answers(artefacts):
    pipeline = pickle.loads(artefacts.files["model.pkl"].read_bytes())
    rows = agreement.every_input(SELECTED)
    found = onnx_answers(artefacts.files["model.onnx"].read_bytes(), rows)
    assert agreement.measure(answers(pipeline, rows), found).within(TOLERANCE)
    table = Table.from_bytes(artefacts.files["model.table"].read_bytes(), [column.name for column in SELECTED])
    check(table, pipeline, rows)
    risks = found.probabilities[:, 1]
    healthy = (rows == [22, 1, 2, 8]).all(axis=1)
    ill = (rows == [45, 5, 11, 2]).all(axis=1)
    assert risks[healthy] < 0.2 < 0.8 < risks[ill]
    assert np.isfinite(risks).all()


def test_the_card_shows_the_scores_of_this_run(artefacts):
    card = artefacts.files["card.md"].read_text(encoding="utf-8")
    created = artefacts.metrics["created"]
    assert f"{created['mean']['F1']:.4f}\u00a0±\u00a0{created['std']['F1']:.4f}" in card
    assert "Source: **embedded**" in card


def test_the_same_seed_gives_the_same_files_and_leaves_nothing_elsewhere(artefacts, survey, small, here, capfd):
    again = train(
        survey,
        here / "again",
        profile=small,
        seed=42,
        version="0.1.0",
        parameters_version="2026_11_21",
        with_report=False,
    )
    for name in (
        "metrics.json",
        "card.md",
        "model.onnx",
        "model.pkl",
        "model.table",
        "training_profile.json",
        "manifest.json",
    ):
        assert again.files[name].read_bytes() == artefacts.files[name].read_bytes(), name
    assert "profile.html" not in again.files
    assert list(here.iterdir()) == [here / "again"]
    printed = "".join(capfd.readouterr())
    assert "Reduce it to plain scikit-learn" in printed
    assert not any(noise in printed for noise in ("Warning", "LightGBM", "%|"))


def test_the_table_of_an_earlier_model_is_not_packaged_with_a_later_one(tmp_path):
    """The package is made of what the folder holds."""
    tabulated = Tabulated(b"numbers", 1, agreement.Agreement(1, 0, 0.0))
    assert write_table(tabulated, tmp_path) == {"model.table": tmp_path / "model.table"}
    assert (tmp_path / "model.table").read_bytes() == b"numbers"
    assert write_table(None, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    assert write_table(None, tmp_path) == {}
