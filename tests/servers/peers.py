"""How the servers are started and asked: those of the benchmarks, with a verified folder, or with our components."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.servers import Launch, MLServer, Peer, Seldon
from benchmarks.services import ROOT
from tests.servers.environments import environment

MODEL = "diabetes_risk_model"
Rows = Sequence[Sequence[float | None]]


def beside_the_server() -> dict[str, str]:
    """Return the variable that lets a server import this project, and what the project needs."""
    packages = environment("beside_a_server") / "lib" / "python3.11" / "site-packages"
    return {"PYTHONPATH": f"{ROOT}:{packages}"}


def tensor(rows: Rows, name: str = "input") -> dict[str, Any]:
    """Return the rows as one tensor of the Open Inference Protocol."""
    return {"name": name, "shape": [len(rows), 4], "datatype": "FP64", "data": [list(row) for row in rows]}


class VerifyingMLServer(MLServer):
    """MLServer with our runtime. Its model is a file of settings."""

    name = "MLServer with our runtime"
    ready_path, predict_path = f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/infer"

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        launch = super().launch(environment, model, folder, port)
        settings = json.loads((ROOT / "configuration" / "mlserver" / "model-settings.json").read_text())
        settings["parameters"]["extra"] = {"configuration": str(model)}
        (folder / "model-settings.json").write_text(json.dumps(settings))
        return Launch(launch.command, beside_the_server(), folder)


class VerifyingSeldon(Seldon):
    """Seldon's microservice with our component. Its model is a file of settings."""

    name = "Seldon Core microservice with our component"

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        launch = super().launch(environment, model, folder, port)
        component = "diabetes_risk_model.servers.seldon_component.DiabetesRisk"
        command = [component if part == "SurveyModel" else part for part in launch.command]
        return Launch(command, {**beside_the_server(), "MODEL_CONFIGURATION": str(model)}, folder)


class KServe(Peer):
    """KServe's server of Python, with ONNX Runtime. Its model is a folder."""

    name, package = "KServe", "kserve"
    ready_path, predict_path = f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/infer"
    times = 0.0

    def launch(self, environment: Path, model: Path, folder: Path, port: int) -> Launch:
        command = [str(environment / "bin" / "python"), str(Path(__file__).with_name("onnx_predictor.py"))]
        options = {"model_dir": str(model), "model_name": MODEL, "http_port": str(port), "enable_grpc": "false"}
        command += [f"--{name}={value}" for name, value in options.items()]
        return Launch(command, {"ORT_DISABLE_TELEMETRY": "1"}, folder)

    def request(self, row: Sequence[float]) -> dict[str, Any]:
        return {"inputs": [tensor([row])]}

    def probability(self, answer: Any) -> float:
        return float(answer["outputs"][0]["data"][1])
