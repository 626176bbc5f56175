"""The Open Inference Protocol, with a client that others wrote, against a real service."""

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.service.contract import contract

PAGE = Path(__file__).parents[3] / "docs" / "inference_protocol.md"
ADDRESS = "127.0.0.1:8000"
MODEL = "diabetes_risk_model"
VERSION = "0.1.0"
ROWS = 1_000


@pytest.fixture
def client(served_model: Any) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(served_model.process.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture(scope="module")
def people() -> list[dict[str, Any]]:
    """So many people as a request may hold; some have not answered everything."""
    source = random.Random(0)
    return [
        {
            "body_mass_index": source.choice([None, round(source.uniform(15, 60), 3)]),
            "general_health": source.choice([None, *GeneralHealth]),
            "age": source.choice([None, *Age]),
            "income": source.choice([None, *Income]),
        }
        for _ in range(ROWS)
    ]


@pytest.fixture(scope="module")
def expected(served_model: Any, people: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model answers offline."""
    predictions = json.loads(served_model.model.predict_batch(people).to_json())["predictions"]
    return {name: [answer[name] for answer in predictions] for name in ("probability", "diabetes_risk")}


def tensor(name: str, values: np.ndarray[Any, Any], datatype: str, *, binary: bool) -> InferInput:
    return InferInput(name, list(values.shape), datatype).set_data_from_numpy(values, binary_data=binary)


def named(people: list[dict[str, Any]], *, binary: bool) -> list[InferInput]:
    """Each field as a tensor, one of them as a column."""
    indices = np.array([person["body_mass_index"] for person in people], dtype=np.float64)
    texts = {
        name: np.array([str(person[name] or "") for person in people], dtype=np.object_)
        for name in ("general_health", "age", "income")
    }
    texts["age"] = texts["age"].reshape(-1, 1)
    return [
        *(tensor(name, values, "BYTES", binary=binary) for name, values in texts.items()),
        tensor("body_mass_index", indices, "FP64", binary=binary),
    ]


def matrix(people: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    def code(kind: Any, member: Any) -> float:
        return np.nan if member is None else list(kind).index(member) + 1.0

    rows = [
        [
            person["body_mass_index"],
            code(GeneralHealth, person["general_health"]),
            code(Age, person["age"]),
            code(Income, person["income"]),
        ]
        for person in people
    ]
    return np.array(rows, dtype=np.float64)


def complete(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without missing numbers, which the client cannot write as JSON."""
    return [{**person, "body_mass_index": person["body_mass_index"] or 28.5} for person in people]


def test_server_and_model_are_live_and_ready(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, VERSION)
    assert not client.is_model_ready("another")
    assert not client.is_model_ready(MODEL, "9")


def test_server_metadata(client: InferenceServerClient) -> None:
    metadata = client.get_server_metadata()
    assert set(metadata) == {"name", "version", "extensions"}
    assert "binary_tensor_data" in metadata["extensions"]


@pytest.mark.parametrize("version", ["", VERSION])
def test_model_metadata(client: InferenceServerClient, version: str) -> None:
    metadata = client.get_model_metadata(MODEL, version)
    assert (metadata["name"], metadata["versions"]) == (MODEL, [VERSION])
    assert {t["name"]: (t["datatype"], t["shape"]) for t in metadata["inputs"]} == {
        "body_mass_index": ("FP64", [-1]),
        "general_health": ("BYTES", [-1]),
        "age": ("BYTES", [-1]),
        "income": ("BYTES", [-1]),
    }
    assert {t["name"]: t["datatype"] for t in metadata["outputs"]} == {"probability": "FP64", "diabetes_risk": "BYTES"}


@pytest.mark.parametrize("version", ["", VERSION])
def test_infer_by_the_clients_defaults_which_are_binary(
    client: InferenceServerClient, people: list[dict[str, Any]], expected: dict[str, Any], version: str
) -> None:
    result = client.infer(MODEL, named(people, binary=True), version, request_id="42")
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("42", MODEL, VERSION)
    assert response["parameters"] == {"parameters_version": "2026_11_21", "serial": 1}
    assert result.as_numpy("probability").tolist() == expected["probability"]
    assert [text.decode() for text in result.as_numpy("diabetes_risk")] == expected["diabetes_risk"]


def test_infer_in_json(client: InferenceServerClient, served_model: Any, people: list[dict[str, Any]]) -> None:
    given = complete(people)
    wanted = [InferRequestedOutput(name, binary_data=False) for name in ("diabetes_risk", "probability")]
    result = client.infer(MODEL, named(given, binary=False), outputs=wanted)
    response = result.get_response()
    assert "id" not in response
    assert [output["name"] for output in response["outputs"]] == ["diabetes_risk", "probability"]
    predictions = json.loads(served_model.model.predict_batch(given).to_json())["predictions"]
    assert result.as_numpy("probability").tolist() == [answer["probability"] for answer in predictions]
    assert result.as_numpy("diabetes_risk").tolist() == [answer["diabetes_risk"] for answer in predictions]


def test_infer_from_one_matrix_of_codes(
    client: InferenceServerClient, people: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    result = client.infer(MODEL, [tensor("input", matrix(people), "FP64", binary=True)])
    assert result.as_numpy("probability").tolist() == expected["probability"]


@pytest.mark.parametrize("binary", [True, False])
def test_single_precision_is_that_in_both_forms(
    client: InferenceServerClient, served_model: Any, people: list[dict[str, Any]], binary: bool
) -> None:
    values = matrix(complete(people)).astype(np.float32)[:, :1].ravel()
    rows = [{"body_mass_index": float(value)} for value in values]
    predictions = json.loads(served_model.model.predict_batch(rows).to_json())["predictions"]
    result = client.infer(MODEL, [tensor("body_mass_index", values, "FP32", binary=binary)])
    assert result.as_numpy("probability").tolist() == [answer["probability"] for answer in predictions]


def test_one_output_in_each_form(client: InferenceServerClient, expected: dict[str, Any], people: Any) -> None:
    wanted = [InferRequestedOutput("probability", binary_data=False), InferRequestedOutput("diabetes_risk")]
    result = client.infer(MODEL, named(people, binary=True), outputs=wanted)
    assert result.get_output("probability")["data"] == expected["probability"]
    assert "data" not in result.get_output("diabetes_risk")
    assert [text.decode() for text in result.as_numpy("diabetes_risk")] == expected["diabetes_risk"]


def test_no_rows(client: InferenceServerClient) -> None:
    result = client.infer(MODEL, [tensor("input", np.empty((0, 4)), "FP64", binary=True)])
    assert result.as_numpy("probability").shape == (0,)
    assert result.as_numpy("diabetes_risk").shape == (0,)


def test_a_refusal_reaches_the_caller_in_words(client: InferenceServerClient) -> None:
    ages = tensor("age", np.array(["FROM_80", "OLD"], dtype=np.object_), "BYTES", binary=True)
    with pytest.raises(InferenceServerException, match="Row 1, field 'age'") as refused:
        client.infer(MODEL, [ages])
    assert refused.value.status() == "400"


@pytest.mark.parametrize(("model", "version"), [("another", ""), (MODEL, "9"), ("another", "9")])
def test_a_model_that_is_not_there(client: InferenceServerClient, model: str, version: str) -> None:
    with pytest.raises(InferenceServerException, match=r"no model of this name|no such version"):
        client.get_model_metadata(model, version)
    with pytest.raises(InferenceServerException) as refused:
        client.infer(model, [tensor("input", np.empty((0, 4)), "FP64", binary=True)], version)
    assert refused.value.status() == "404"
    assert "decoding the response" not in refused.value.message()


def test_a_compressed_request_is_refused_in_words(client: InferenceServerClient) -> None:
    inputs = [tensor("input", np.full((2, 4), np.nan), "FP64", binary=True)]
    with pytest.raises(InferenceServerException, match="must not be compressed"):
        client.infer(MODEL, inputs, request_compression_algorithm="gzip")
    assert client.infer(MODEL, inputs, response_compression_algorithm="gzip").as_numpy("probability").shape == (2,)


def test_a_path_of_the_protocol_that_is_not_there(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="Not Found") as refused:
        client.get_model_config(MODEL)
    assert refused.value.status() == "404"


def code(language: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = blocks
    assert ADDRESS in block
    return str(block)


def test_the_pages_client_runs(served_model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    address = served_model.process.url.removeprefix("http://")
    exec(code("python").replace(ADDRESS, address), {})  # the page's own words
    rows = [{"age": "FROM_60_TO_64", "body_mass_index": 31.5}, {"age": "FROM_25_TO_29"}]
    predictions = json.loads(served_model.model.predict_batch(rows).to_json())["predictions"]
    printed = capsys.readouterr().out
    assert all(f"b'{answer['diabetes_risk']}'" in printed for answer in predictions)
    assert all(f"{answer['probability']:.6f}"[:7] in printed for answer in predictions)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_pages_command_runs(served_model: Any) -> None:
    command = code("bash").replace(f"http://{ADDRESS}", served_model.process.url)
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True, env={**os.environ, "NO_PROXY": "*"})
    response = json.loads(done.stdout)
    assert response["id"] == "1"
    rows = [
        {"body_mass_index": 31.5, "general_health": "FAIR", "age": "FROM_60_TO_64", "income": "UNDER_20_000"},
        {"body_mass_index": 22, "general_health": "VERY_GOOD", "income": "FROM_75_000"},
    ]
    expected = served_model.model.predict_batch(rows).probabilities
    (output,) = response["outputs"]
    assert output["data"] == list(expected)


def test_the_pages_paths_are_those_of_the_contract() -> None:
    named = set(re.findall(r"^\| `(?:GET|POST) (/v2\S*)`", PAGE.read_text(), re.MULTILINE))
    paths = [path for path in yaml.safe_load(contract())["paths"] if path.startswith("/v2") and "version" not in path]
    assert named == {path.replace("{model_name}", MODEL) for path in paths}
