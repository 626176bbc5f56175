"""Other servers with the same model: `python -m benchmarks.peers`.

Each is installed into an environment of its own, from its locked `requirements.txt`, under `build/peers`.

* `environments` -- make the environments.
* `servers` -- how each is started, asked and read.
* `mlserver`, `seldon`, `bentoml` -- what each is given: its locked requirements, and code where it needs some.
"""
