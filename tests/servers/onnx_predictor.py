"""A server of KServe for a folder with an ONNX model, as its custom predictors are written; KServe's environment."""

import argparse
from pathlib import Path

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server


class OnnxModel(Model):
    """Answers with the outputs of the model, by their names."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._folder = folder

    def load(self) -> bool:
        self._session = onnxruntime.InferenceSession(self._folder / "model.onnx")
        self.ready = True
        return self.ready

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        (given,) = payload.inputs
        (wanted,) = self._session.get_inputs()
        results = self._session.run(["probabilities"], {wanted.name: given.as_numpy()})
        output = InferOutput("probabilities", list(results[0].shape), "FP64", results[0].astype("float64").tolist())
        return InferResponse(payload.id or "1", self.name, [output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", type=Path)
    arguments, _ = parser.parse_known_args()
    model = OnnxModel(arguments.model_name, arguments.model_dir)
    model.load()
    ModelServer().start([model])
