"""The service: the model over HTTP.

* `configuration` -- read the YAML file that REST_CONFIG names.
* `application`, `main` -- the application, and its entry point for uvicorn.
* `loading` -- load the models beside it, and try again where that can help.
* `routes` -- the paths that tell of the service and its models.
* `endpoints` -- the paths that predict. `bodies` and `rows` read what they are sent, `answers` says what is wrong.
* `observation`, `metrics`, `logs` -- what an operator sees.
* `contract` -- `service_contract.yaml`, generated and checked.
* `process` -- run the service in a process of its own and watch it.
"""
