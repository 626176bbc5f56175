"""How each peer is started, asked and read. One process each, or one worker where it has others around it."""

import json
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import HERE


@dataclass(frozen=True)
class Launch:
    """How a server is started.

    Attributes:
        command: program and arguments.
        environment: variables beside PATH and HOME.
        folder: working directory.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


class Peer(ABC):
    """A server that the model can be served by.

    Attributes:
        name: as its makers write it.
        package: name of its folder, and of its distribution.
        ready_path: answers 200 when predictions are answered.
        predict_path: of the predictions.
        times: so many times its requests per second are ours to be.
    """

    name: str
    package: str
    ready_path: str
    predict_path: str
    times: float

    @abstractmethod
    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        """Write what the server needs, and return how it is started.

        Args:
            environment: folder of its environment.
            model: the pipeline, a file of joblib's.
            folder: to write into.
            port: to listen on, of 127.0.0.1.
        """

    @abstractmethod
    def request(self, row: Sequence[float]) -> dict[str, Any]:
        """Return the body that asks for one prediction."""

    @abstractmethod
    def probability(self, answer: Any) -> float:
        """Return the probability of diabetes out of an answer."""


class MLServer(Peer):
    """MLServer, with its runtime for scikit-learn, in one process."""

    name, package = "MLServer", "mlserver"
    ready_path, predict_path = "/v2/models/survey/ready", "/v2/models/survey/infer"
    times = 6.0

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        """Write its two files of settings."""
        settings = {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": 0,  # computes in the process that listens, which is its faster way here
            "debug": False,
        }
        served = {
            "name": "survey",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(model), "version": "1"},
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(served))
        return Launch([str(environment / "bin" / "mlserver"), "start", str(folder)], {}, folder)

    def request(self, row: Sequence[float]) -> dict[str, Any]:
        """Return a request of the Open Inference Protocol."""
        tensor = {"name": "rows", "shape": [1, len(row)], "datatype": "FP64", "data": [list(row)]}
        return {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}

    def probability(self, answer: Any) -> float:
        """Return the second of the two numbers."""
        return float(answer["outputs"][0]["data"][1])


class Seldon(Peer):
    """The microservice of Seldon Core 1, with one worker."""

    name, package = "Seldon Core microservice", "seldon"
    ready_path, predict_path = "/health/status", "/api/v1.0/predictions"
    times = 8.0

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        """Serve the class beside its lock file."""
        command = [str(environment / "bin" / "seldon-core-microservice"), "SurveyModel", "--service-type", "MODEL"]
        ports = {"http": port, "grpc": free_port(), "metrics": free_port()}
        command += [part for kind, number in ports.items() for part in (f"--{kind}-port", str(number))]
        command += ["--workers", "1", "--log-level", "WARNING"]
        return Launch(command, {"MODEL_FILE": str(model), "PYTHONPATH": str(HERE / self.package)}, folder)

    def request(self, row: Sequence[float]) -> dict[str, Any]:
        """Return a request of Seldon's protocol."""
        return {"data": {"ndarray": [list(row)]}}

    def probability(self, answer: Any) -> float:
        """Return the second of the two numbers."""
        return float(answer["data"]["ndarray"][0][1])


class BentoML(Peer):
    """BentoML, with one worker."""

    name, package = "BentoML", "bentoml"
    ready_path, predict_path = "/readyz", "/predict"
    times = 12.0

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        """Serve the class beside its lock file."""
        command = [str(environment / "bin" / "bentoml"), "serve", "service:SurveyModel"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(HERE / self.package)]
        variables = {"MODEL_FILE": str(model), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
        return Launch(command, variables, folder)

    def request(self, row: Sequence[float]) -> dict[str, Any]:
        """Return the arguments of the method."""
        return {"rows": [list(row)]}

    def probability(self, answer: Any) -> float:
        """Return the second of the two numbers."""
        return float(answer[0][1])


PEERS: tuple[Peer, ...] = (MLServer(), Seldon(), BentoML())


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment_for(launch: Launch) -> dict[str, str]:
    """Return the whole environment of a server: nothing of this process's own settings reaches it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **launch.environment}
