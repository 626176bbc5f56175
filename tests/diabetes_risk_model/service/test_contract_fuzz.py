"""Requests that a program makes up from the contract, good and bad: each answer of a real service is as it says.

They are the same whenever they run. CONTRACT_FUZZ_EXAMPLES, by default 100 for each operation, makes the run longer.
"""

import copy
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import schemathesis
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from diabetes_risk_model.packaging import package_parameters
from diabetes_risk_model.prediction.model import DiabetesRiskModel
from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.service.contract import contract
from diabetes_risk_model.service.process import ServiceProcess
from signed_parameters import SigningKey

PREDICTION = "/api/models/diabetes_risk_model/prediction"
BATCH = "/api/models/diabetes_risk_model/predictions"
INFER = "/v2/models/diabetes_risk_model/infer"
NAMES = ("body_mass_index", "general_health", "age", "income")
SIZE_OF_JSON = "Inference-Header-Content-Length"
EXAMPLES = int(os.environ.get("CONTRACT_FUZZ_EXAMPLES", "100"))
CONTRACT: dict[str, Any] = yaml.safe_load(contract())
CONFIGURATION = {
    "generation": {"deterministic": True},
    # Too many rows are refused as too large.
    "checks": {"negative_data_rejection": {"expected-statuses": ["400", "404", "405", "413", "415"]}},
}


def load(document: dict[str, Any]) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(CONFIGURATION))


schema = load(CONTRACT)


@dataclass(frozen=True)
class Fuzzed:
    """The running service, and the same model beside it."""

    process: ServiceProcess
    model: DiabetesRiskModel


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, trained_model: Any) -> Iterator[Fuzzed]:
    """A service with the limits that the contract names, and a card."""
    folder = tmp_path_factory.mktemp("fuzzed")
    key = SigningKey.generate()
    card = folder / "card.html"
    card.write_text("<!doctype html><title>Card</title>")
    files = {**trained_model.files, "card.html": card}
    package_parameters(files, folder, key=key, parameters_version="2026_11_21", serial=1)
    parameters = {
        "model_parameters_version": "2026_11_21",
        "model_files_bucket": f"file://{folder}",
        "parameters_verification_keys": [str(key.verification_key)],
    }
    class_path = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
    model = {"class_path": class_path, "create_endpoint": True, "configuration": parameters}
    configuration = folder / "rest_config.yaml"
    configuration.write_text(yaml.safe_dump({"models": [model]}))
    with ServiceProcess("diabetes_risk_model.service.main:app", configuration) as process:
        yield Fuzzed(process, DiabetesRiskModel(**parameters))
        assert " 500" not in process.log()
        assert "Traceback" not in process.log()


def validator(name: str) -> jsonschema.Draft202012Validator:
    reference = {"$ref": f"#/components/schemas/{name}", "components": CONTRACT["components"]}
    return jsonschema.Draft202012Validator(reference)


def excluded_checks(case: schemathesis.Case) -> list[Any]:
    """Return what no schema can say. The tests below say it."""
    excluded: list[Any] = []
    if case.media_type == "text/csv" or case.path.endswith("/infer"):
        # A table must have a first line that names columns; a tensor must have as many elements as its shape says.
        excluded.append(positive_data_acceptance)
    if case.path == BATCH:
        # Rows that do not fit are reported, and the others are answered.
        excluded.append(negative_data_rejection)
    return excluded


def check(case: schemathesis.Case, fuzzed: Fuzzed) -> Any:
    """Send a request, and check its answer by all that the contract says."""
    response = case.call_and_validate(base_url=fuzzed.process.url, excluded_checks=excluded_checks(case))
    # Refusals of an unknown path or method are not in the contract, but have the same form.
    if response.status_code >= 400 and "/ready" not in case.path:
        validator("InferenceError" if case.path.startswith("/v2") else "Error").validate(response.json())
    return response


@schema.parametrize()
@settings(max_examples=EXAMPLES)
def test_every_answer_is_as_the_contract_says(case: schemathesis.Case, fuzzed: Fuzzed) -> None:
    is_json = case.media_type == "application/json"
    if case.path.endswith("/infer") and is_json and case.meta is not None and case.meta.generation.mode.is_positive:
        # It must be the size of what is sent, or every request would be refused for its sake.
        case.headers.pop(SIZE_OF_JSON, None)
    response = check(case, fuzzed)
    if case.path == BATCH and is_json and response.status_code == 200:
        fits = validator("DiabetesRiskModelInput").is_valid
        assert [answer is not None for answer in response.json()["predictions"]] == list(map(fits, case.body))


@pytest.mark.parametrize("path", [path for path, operations in CONTRACT["paths"].items() if "{" in path])
def test_the_examples_of_paths_lead_somewhere(path: str, fuzzed: Fuzzed) -> None:
    operation = CONTRACT["paths"][path]["get"]
    names = {parameter["name"]: parameter["schema"]["examples"][0] for parameter in operation["parameters"]}
    assert check(schema[path]["GET"].Case(path_parameters=names), fuzzed).status_code == 200


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


people = st.lists(
    st.fixed_dictionaries(
        {
            "body_mass_index": optional(st.floats(15, 60)),
            "general_health": optional(st.sampled_from([member.value for member in GeneralHealth])),
            "age": optional(st.sampled_from([member.value for member in Age])),
            "income": optional(st.sampled_from([member.value for member in Income])),
        }
    ),
    max_size=20,
)


def predictions(fuzzed: Fuzzed, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer: dict[str, Any] = json.loads(fuzzed.model.predict_batch(rows).to_json())
    assert answer["errors"] == []
    return list(answer["predictions"])


@given(rows=people)
@settings(max_examples=EXAMPLES)
def test_tables_that_fit_are_answered(rows: list[dict[str, Any]], fuzzed: Fuzzed) -> None:
    lines = [",".join(NAMES)]
    lines += [",".join("" if row[name] is None else str(row[name]) for name in NAMES) for row in rows]
    case = schema[BATCH]["POST"].Case(body="\n".join(lines), media_type="text/csv")
    response = check(case, fuzzed)
    assert (response.status_code, response.json()) == (200, {"predictions": predictions(fuzzed, rows), "errors": []})


@given(rows=people, nested=st.booleans(), left_out=st.sets(st.sampled_from(["age", "income"])))
@settings(max_examples=EXAMPLES)
def test_tensors_that_fit_are_answered(
    rows: list[dict[str, Any]], nested: bool, left_out: set[str], fuzzed: Fuzzed
) -> None:
    kept = [name for name in NAMES if name not in left_out]
    given_rows = [{name: row[name] for name in kept} for row in rows]
    inputs = [
        {
            "name": name,
            "shape": [len(rows), 1] if nested else [len(rows)],
            "datatype": "FP64" if name == "body_mass_index" else "BYTES",
            "data": [[row[name]] if nested else row[name] for row in rows],
        }
        for name in kept
    ]
    response = check(schema[INFER]["POST"].Case(body={"inputs": inputs}, media_type="application/json"), fuzzed)
    assert response.status_code == 200
    expected = predictions(fuzzed, given_rows)
    for output in response.json()["outputs"]:
        assert output["shape"] == [len(rows)]
        assert output["data"] == [answer[output["name"]] for answer in expected]


def without_a_status(document: dict[str, Any]) -> None:
    del document["paths"][PREDICTION]["post"]["responses"]["400"]


def without_a_media_type(document: dict[str, Any]) -> None:
    content = document["paths"][PREDICTION]["post"]["responses"]["400"]["content"]
    content["text/plain"] = content.pop("application/json")


def with_another_body(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Error"]["required"].append("reason")


def with_stricter_rules(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["DiabetesRiskModelInput"]["required"] = ["age"]


def with_looser_rules(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Age"]["enum"].append("FROM_90")


@pytest.mark.parametrize(
    ("lie", "body", "message"),
    [
        (without_a_status, {"age": 3}, "Undocumented status code"),
        (without_a_media_type, {"age": 3}, "Undocumented Content-Type"),
        (with_another_body, {"age": 3}, "violates schema"),
    ],
)
def test_an_answer_that_the_contract_does_not_have_is_found(lie: Any, body: Any, message: str, fuzzed: Fuzzed) -> None:
    document = copy.deepcopy(CONTRACT)
    lie(document)
    case = load(document)[PREDICTION]["POST"].Case(body=body, media_type="application/json")
    with pytest.raises(FailureGroup) as found:
        check(case, fuzzed)
    assert message in str(found.value)


@pytest.mark.parametrize(
    ("lie", "mode"),
    [
        (with_stricter_rules, schemathesis.GenerationMode.NEGATIVE),
        (with_looser_rules, schemathesis.GenerationMode.POSITIVE),
    ],
)
def test_a_rule_that_the_service_does_not_keep_is_found(lie: Any, mode: Any, fuzzed: Fuzzed) -> None:
    document = copy.deepcopy(CONTRACT)
    lie(document)
    operation = load(document)[PREDICTION]["POST"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES)
    def run(case: schemathesis.Case) -> None:
        check(case, fuzzed)

    with pytest.raises(FailureGroup):
        run()
