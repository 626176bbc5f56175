from pathlib import Path

import pytest

from diabetes_risk_model.servers.configuration import VARIABLE, model_settings
from signed_parameters import ConfigurationError

SETTINGS = {"model_files_bucket": "b", "minimum_serial": 3}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    path = tmp_path / "model.yaml"
    path.write_text("model_files_bucket: b\nminimum_serial: 3\n")
    return path


def test_settings_come_one_by_one_or_in_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_settings(SETTINGS) == SETTINGS
    assert model_settings({"configuration": str(file)}) == SETTINGS
    monkeypatch.setenv("FOLDER", str(file.parent))
    assert model_settings({"configuration": "${FOLDER}/model.yaml"}) == SETTINGS
    monkeypatch.setenv(VARIABLE, str(file))
    assert model_settings({}) == SETTINGS


def test_what_is_said_one_by_one_is_not_mixed_with_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="'minimum_serial' beside it"):
        model_settings({"configuration": str(file), "minimum_serial": 0})
    monkeypatch.setenv(VARIABLE, str(file))
    assert model_settings({"minimum_serial": 7}) == {"minimum_serial": 7}


@pytest.mark.parametrize("text", ["- a list\n", "a: 1\na: 2\n", "a: *b\n", "{"])
def test_a_file_that_is_not_usable_is_named(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"the model's configuration .*model.yaml"):
        model_settings({"configuration": str(file)})


def test_a_missing_file_is_named_with_the_remedy(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"none.yaml cannot be read.*{VARIABLE}"):
        model_settings({"configuration": str(file.with_name("none.yaml"))})
