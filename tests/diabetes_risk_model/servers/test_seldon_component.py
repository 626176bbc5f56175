"""What the component does when it cannot load. How it answers, tests/servers asks it in its own server."""

import logging
from typing import Any

import pytest

from diabetes_risk_model.servers import seldon_component
from diabetes_risk_model.servers.seldon_component import DiabetesRisk


def test_a_refusal_ends_the_process_and_names_the_reason_in_one_line(
    bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(bucket.package.read_bytes())
    content[len(content) // 2] ^= 1
    bucket.package.write_bytes(content)
    component = DiabetesRisk(**bucket.settings(engine="table"))
    with pytest.raises(SystemExit) as ended:
        component.load()
    assert ended.value.code == 3
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("DigestMismatch: ")
    assert "\n" not in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize("kind", [AttributeError, NotImplementedError, OSError])
def test_no_failure_is_taken_for_a_component_that_loads_nothing(kind: type[Exception], monkeypatch: Any) -> None:
    """The microservice passes over the first two, and would answer."""

    def fail(**_: object) -> None:
        raise kind("something unforeseen")

    monkeypatch.setattr(seldon_component, "DiabetesRiskModel", fail)
    with pytest.raises(SystemExit):
        DiabetesRisk().load()


def test_settings_that_contradict_each_other_are_refused_before_anything_is_fetched() -> None:
    with pytest.raises(SystemExit):
        DiabetesRisk(configuration="model.yaml", engine="table")


def test_it_answers_with_what_it_has_loaded(bucket: Any) -> None:
    component = DiabetesRisk(**bucket.settings(engine="table"))
    component.load()
    (answer,) = component.predict([[31.5, 4, 9, 3]], [])
    assert sum(answer) == pytest.approx(1.0)
    assert component.class_names() == ["NO_DIABETES", "DIABETES"]
    assert component.tags() == {"parameters_version": "2026_11_21", "serial": 1}
