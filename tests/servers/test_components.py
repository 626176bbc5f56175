"""Our component for Seldon's microservice and our runtime for MLServer: in their servers, by their protocols."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.load import LoadError
from benchmarks.peers.servers import Peer
from benchmarks.services import ROOT
from diabetes_risk_model import __version__
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.servers.configuration import model_settings
from tests.servers.peers import MODEL, Rows, VerifyingMLServer, VerifyingSeldon, tensor

VERIFYING: list[Peer] = [VerifyingMLServer(), VerifyingSeldon()]
TAGS = {"parameters_version": "2026_11_21", "serial": 1}
PERSON = {"body_mass_index": 31.5, "general_health": "FAIR", "age": "FROM_60_TO_64", "income": "UNDER_20_000"}
CODES = [31.5, 4, 9, 3]

# What clients get wrong, and a part of what they are told.
BAD_TENSORS = [
    ([{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}], "'x' is none of them"),
    ([], "There must be columns"),
    ([tensor([CODES]), tensor([CODES])], "named twice"),
    ([{**tensor([CODES]), "shape": [4]}], "its shape must be [n, 4]"),
    ([{**tensor([CODES]), "shape": [-1, 4]}], "its shape and its data"),
    ([{**tensor([CODES]), "shape": [2, 4]}], "its shape and its data"),
    ([{**tensor([CODES]), "data": [CODES, 4]}], "its shape and its data"),
    ([{**tensor([CODES]), "data": ["a", "b", "c", "d"]}], "its datatype and its data"),
    ([{"name": "body_mass_index", "shape": [1], "datatype": "BOOL", "data": [True]}], "its datatype and its data"),
    ([{"name": "body_mass_index", "shape": [1], "datatype": "FP64", "data": [61]}], "Row 0, field 'body_mass_index'"),
    ([{"name": "age", "shape": [1], "datatype": "BYTES", "data": [7]}], "its datatype and its data"),
    ([{"name": "age", "shape": [1], "datatype": "BYTES", "data": {"a": 1}}], "its shape and its data"),
    ([{"name": "age", "shape": [1], "datatype": "BYTES", "data": ["OLD"]}], "Row 0, field 'age'"),
    ([{"name": "age", "shape": [1], "datatype": "FP64", "data": [14]}], "Row 0, field 'age'"),
]
BAD_DATA = [
    ({"names": ["x"], "ndarray": [[1]]}, "'x' is none of them"),
    ({"names": ["age", "age"], "ndarray": [[1, 2]]}, "named once"),
    ({"names": 7, "ndarray": [[1]]}, "must be a list"),
    ({"names": [[1]], "ndarray": [[1]]}, "'[1]' is none of them"),
    ({"ndarray": [[1, 2]]}, "Every row must have 4 values"),
    ({"ndarray": [1, 2, 3, 4]}, "Every row must have 4 values"),
    ({"ndarray": [[1, 2], [3]]}, "cannot be read"),
    ({"tensor": {"shape": [2, 4], "values": [1]}}, "cannot be read"),
    ({"tensor": {}}, "cannot be read"),
    (7, "cannot be read"),
    ({"ndarray": [[99, 2, 3, 4]]}, "Row 0, field 'body_mass_index'"),
    ({"ndarray": [[31.5, 2.5, 3, 4]]}, "Row 0, field 'general_health'"),
    ({"names": ["body_mass_index"], "ndarray": [["much"]]}, "Row 0, field 'body_mass_index'"),
]


def test_mlserver_answers_as_our_service_does(
    serve: Any, client: Any, settings_file: Any, signed: Any, people: Rows, expected: Any, same: Any
) -> None:
    with serve(VerifyingMLServer(), settings_file(signed)) as running:
        status, answer = client(running.url, {"id": "1", "inputs": [tensor(people)]})
        assert status == 200, answer
        assert (answer["model_name"], answer["id"], answer["parameters"]) == (MODEL, "1", TAGS)
        probability, risk = answer["outputs"]
        assert same(probability["data"], expected)
        assert risk["data"] == ["DIABETES" if one > 0.5 else "NO_DIABETES" for one in probability["data"]]

        by_name = [
            {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
            for name, value in PERSON.items()
        ]
        status, named = client(running.url, {"inputs": by_name, "outputs": [{"name": "probability"}]})
        status, coded = client(running.url, {"inputs": [tensor([CODES])]})
        assert len(named["outputs"]) == 1
        assert named["outputs"][0]["data"] == coded["outputs"][0]["data"]

        for inputs, told in BAD_TENSORS:
            status, answer = client(running.url, {"inputs": inputs})
            assert (status, told in answer["error"]) == (400, True), (inputs, status, answer)
        status, answer = client(running.url, {"inputs": [tensor([CODES])], "outputs": [{"name": "x"}]})
        assert (status, "'x' is none of them" in answer["error"]) == (400, True)


def test_seldons_microservice_answers_as_our_service_does(
    serve: Any, client: Any, settings_file: Any, signed: Any, people: Rows, expected: Any, same: Any
) -> None:
    with serve(VerifyingSeldon(), settings_file(signed)) as running:
        body = {"data": {"names": list(PERSON), "ndarray": [list(row) for row in people]}}
        status, answer = client(running.url, body)
        assert status == 200, answer
        assert answer["data"]["names"] == ["NO_DIABETES", "DIABETES"]
        assert answer["meta"]["tags"] == TAGS
        assert same([diabetes for _, diabetes in answer["data"]["ndarray"]], expected)
        assert all(abs(one + other - 1) < 1e-9 for one, other in answer["data"]["ndarray"])

        _, coded = client(running.url, {"data": {"ndarray": [CODES]}})
        _, mixed = client(running.url, {"data": {"names": list(PERSON), "ndarray": [list(PERSON.values())]}})
        _, other_order = client(
            running.url, {"data": {"names": list(PERSON)[::-1], "ndarray": [list(PERSON.values())[::-1]]}}
        )
        _, flat = client(running.url, {"data": {"tensor": {"shape": [1, 4], "values": CODES}}})
        assert coded["data"] == mixed["data"] == other_order["data"]
        assert flat["data"]["tensor"] == {"shape": [1, 2], "values": coded["data"]["ndarray"][0]}

        for data, told in BAD_DATA:
            status, answer = client(running.url, {"data": data})
            assert (status, told in answer["status"]["info"]) == (400, True), (data, status, answer)
        for other in ({"strData": "x"}, {"jsonData": {"a": 1}}, {"binData": "AAAA"}, {}):
            status, answer = client(running.url, other)
            assert (status, answer["status"]["reason"]) == (400, "MICROSERVICE_BAD_DATA"), (other, answer)


@pytest.mark.parametrize("peer", VERIFYING, ids=lambda peer: peer.package)
def test_a_tampered_package_is_never_served(peer: Peer, serve: Any, settings_file: Any, tampered: Any) -> None:
    with pytest.raises(LoadError, match=r"DigestMismatch: .* is not what was signed"):
        serve(peer, settings_file(tampered)).__enter__()


@pytest.mark.parametrize("peer", VERIFYING, ids=lambda peer: peer.package)
def test_settings_that_are_not_usable_are_named(peer: Peer, serve: Any, settings_file: Any, signed: Any) -> None:
    path = settings_file(signed)
    path.write_text(path.read_text().replace("engine", "engin"))
    with pytest.raises(LoadError, match="unknown key 'engin'"):
        serve(peer, path).__enter__()


def test_the_settings_that_are_shipped_for_mlserver_are_usable(monkeypatch: pytest.MonkeyPatch, signed: Any) -> None:
    settings = json.loads((ROOT / "configuration" / "mlserver" / "model-settings.json").read_text())
    extra = settings["parameters"]["extra"]
    for name in set(re.findall(r"\$\{(\w+)\}", json.dumps(extra))):
        monkeypatch.setenv(name, "value")
    monkeypatch.setenv("PARAMETERS_VERIFICATION_KEYS", str(signed.key.verification_key))
    read = Settings.from_keywords(model_settings(extra))
    assert [str(key) for key in read.trusted_keys] == [str(signed.key.verification_key)]
    assert (settings["name"], settings["parameters"]["version"]) == (MODEL, __version__)


def test_the_project_does_without_either_server() -> None:
    code = "import sys, diabetes_risk_model.servers.seldon_component; sys.exit('seldon_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
