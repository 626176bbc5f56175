from pathlib import Path

import pytest

from benchmarks import services
from benchmarks.load import LoadError
from benchmarks.services import BODIES, compare_answers, model_settings, our_configuration, predict
from diabetes_risk_model.service.process import ServiceProcess


def test_answers_within_the_tolerance_are_the_same() -> None:
    compare_answers(
        [{"diabetes_risk": "DIABETES", "probability": 0.7}], [{"diabetes_risk": "DIABETES", "probability": 0.7 + 1e-7}]
    )


@pytest.mark.parametrize(("risk", "probability"), [("NO_DIABETES", 0.7), ("DIABETES", 0.70001)])
def test_another_models_answers_are_noticed(risk: str, probability: float) -> None:
    with pytest.raises(LoadError, match="answer 1"):
        compare_answers(
            [{"diabetes_risk": "DIABETES", "probability": 0.7}], [{"diabetes_risk": risk, "probability": probability}]
        )


def test_the_package_holds_what_the_folder_has(tmp_path: Path) -> None:
    artefacts, folder = tmp_path / "artefacts", tmp_path / "served"
    artefacts.mkdir()
    folder.mkdir()
    (artefacts / "manifest.json").write_text("{}")
    configuration = our_configuration(artefacts, folder, "table", log_requests=True)
    assert model_settings(configuration)["engine"] == "table"
    assert "log_requests: true" in configuration.read_text()
    assert len(list(folder.glob("*.zip"))) == 1


def test_the_floor_answers_everything_and_parses_what_it_is_sent(tmp_path: Path) -> None:
    configuration = tmp_path / "none.yaml"
    configuration.write_text("")
    floor = ServiceProcess("benchmarks.bare:app", configuration, {"PYTHONPATH": str(services.ROOT)})
    with floor:
        assert predict(f"{floor.url}/prediction", BODIES[0])["diabetes_risk"] == "NO_DIABETES"
        assert floor.status("/anything") == 200
