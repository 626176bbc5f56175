"""The model in the servers of others, which verify its package in the process that answers.

These servers are not dependencies of this project. Each module belongs into the environment of its own server.

* `configuration` -- the model's settings, as a server hands them over.
* `rows` -- from a table of a request to rows of the model.
* `seldon_component` -- for the microservice of Seldon Core 1.
* `mlserver_runtime` -- for MLServer.
"""
