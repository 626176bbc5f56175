"""Servers that load what they find in a folder, which the initializer filled from S3; or did not."""

import os
from typing import Any

import pytest
import sklearn

from benchmarks.load import LoadError
from benchmarks.peers.servers import MLServer, Peer
from tests.servers.environments import environment
from tests.servers.peers import KServe, Rows, tensor

SERVERS: list[tuple[Peer, str]] = [(MLServer(), "model.pkl=model.joblib"), (KServe(), "model.onnx")]


@pytest.mark.parametrize(("peer", "write"), SERVERS, ids=lambda each: getattr(each, "package", ""))
def test_a_server_answers_as_our_service_does(
    peer: Peer,
    write: str,
    initialize: Any,
    serve: Any,
    client: Any,
    signed: Any,
    people: Rows,
    expected: list[float],
    same: Any,
) -> None:
    filled, folder = initialize(signed, write)
    assert filled.returncode == 0, filled.stderr
    assert [path.name for path in folder.iterdir()] == [write.rpartition("=")[2]]
    with serve(peer, folder) as running:
        body = {"inputs": [tensor(people)]}
        if isinstance(peer, MLServer):
            body["outputs"] = [{"name": "predict_proba"}]
        status, answer = client(running.url, body)
    assert status == 200, answer
    (output,) = answer["outputs"]
    assert output["shape"] == [len(people), 2]
    flat = [number for row in output["data"] for number in (row if isinstance(row, list) else [row])]
    assert same(flat[1::2], expected)


@pytest.mark.parametrize(("peer", "write"), SERVERS, ids=lambda each: getattr(each, "package", ""))
def test_a_server_finds_nothing_of_a_tampered_package(
    peer: Peer, write: str, initialize: Any, serve: Any, tampered: Any
) -> None:
    refused, folder = initialize(tampered, write)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("DigestMismatch: ")
    assert os.listdir(folder) == []
    with pytest.raises(LoadError, match="did not become ready"), serve(peer, folder):
        pass


def test_the_server_has_the_scikit_learn_that_the_model_was_trained_with() -> None:
    packages = environment("mlserver") / "lib" / "python3.11" / "site-packages"
    found = [path.name for path in packages.glob("scikit_learn-*.dist-info")]
    assert found == [f"scikit_learn-{sklearn.__version__}.dist-info"]
