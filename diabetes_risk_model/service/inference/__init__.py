"""The Open Inference Protocol, version 2, over HTTP: the model for clients of that protocol.

* `schemas` -- what its requests and answers are.
* `inputs` -- from the tensors of a request to rows of the model. `binary` has those that are not in JSON.
* `outputs` -- from the model's answers to tensors.
* `endpoint` -- infer. `routes` -- what tells of the server and its models.
"""
