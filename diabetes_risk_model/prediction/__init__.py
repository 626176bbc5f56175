"""Prediction: what a service holds, from the address of a package to an answer.

* `settings` -- the model's configuration, checked and with its environment variables filled in.
* `parameters` -- fetch and verify the package.
* `engines` -- load the parameters and compute probabilities, from ONNX or from the pickle; `table` looks them up.
* `schemas` -- what goes in and what comes out.
* `encoding` -- from answers to the row that the model was trained on.
* `batch` -- many rows at once. `problems` names what does not fit.
* `plain` -- one answer without the schemas, for those who ask plainly.
* `model` -- `DiabetesRiskModel`, which puts these together for `rest_model_service`.
"""
