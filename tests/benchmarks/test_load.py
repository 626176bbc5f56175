import shutil
from pathlib import Path

import pytest

from benchmarks.load import LoadError, bodies_of, post, require_wrk
from diabetes_risk_model.prediction.schemas import Age, DiabetesRiskModelInput
from diabetes_risk_model.service.process import ServiceProcess

APP = """
import json

seen = set()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (await receive()).get("body", b"")
    if scope["path"] == "/double":
        seen.add(json.loads(body)["number"])
        print("seen", sorted(seen), flush=True)
    status = 500 if scope["path"] == "/broken" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
"""

WITH_WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@pytest.fixture
def service(tmp_path: Path) -> ServiceProcess:
    (tmp_path / "tiny_service.py").write_text(APP)
    (tmp_path / "config.yaml").write_text("")
    return ServiceProcess(
        "tiny_service:app",
        tmp_path / "config.yaml",
        {"PYTHONPATH": str(tmp_path)},
        arguments=["--no-access-log"],
    )


def test_bodies_are_valid_inputs_of_every_kind() -> None:
    bodies = bodies_of(DiabetesRiskModelInput.model_json_schema(), 500)
    inputs = [DiabetesRiskModelInput.model_validate(body) for body in bodies]
    assert {each.age for each in inputs} == set(Age)
    assert any(each.body_mass_index != round(each.body_mass_index or 0) for each in inputs)
    assert bodies == bodies_of(DiabetesRiskModelInput.model_json_schema(), 500)


def test_a_field_of_another_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'name'"):
        bodies_of({"properties": {"name": {"type": "string"}}}, 1)


@WITH_WRK
def test_all_bodies_are_posted_in_turn(service: ServiceProcess) -> None:
    with service:
        load = post(f"{service.url}/double", [{"number": 1}, {"number": 2}], seconds=1, connections=2)
        assert "seen [1, 2]" in service.log()
    assert load.requests_per_second > 0
    assert 0 < load.p50 <= load.p99


@WITH_WRK
def test_answers_that_are_errors_are_not_counted_as_speed(service: ServiceProcess) -> None:
    with service, pytest.raises(LoadError, match=r"requests to .* failed"):
        post(f"{service.url}/broken", [{"number": 1}], seconds=1)


@WITH_WRK
def test_a_service_that_is_not_there() -> None:
    with pytest.raises(LoadError, match="wrk failed"):
        post("http://127.0.0.1:1/", [{}], seconds=1)


def test_a_missing_wrk_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LoadError, match="apt-get install wrk"):
        require_wrk()
