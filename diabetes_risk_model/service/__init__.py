"""The service: the model over HTTP.

* `configuration` -- read the YAML file that REST_CONFIG names.
* `application`, `main` -- the application, and its entry point for uvicorn.
* `contract` -- `service_contract.yaml`, generated and checked.
* `process` -- run the service in a process of its own and watch it.
"""
