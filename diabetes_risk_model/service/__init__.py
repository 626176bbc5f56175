"""The service: the model over HTTP.

* `configuration` -- read the YAML file that REST_CONFIG names.
* `application`, `main` -- the application, and its entry point for uvicorn.
* `server` -- runs it: `python -m diabetes_risk_model.service`. `life` tells whether it may be sent requests.
* `loading` -- load the models beside it, and try again where that can help.
* `routes` -- the paths that tell of the service and its models.
* `endpoints` -- the paths that predict. `bodies` and `rows` read what they are sent, `answers` says what is wrong.
* `inference` -- the paths of the Open Inference Protocol, and the endpoint behind one of them.
* `authentication` -- tokens for those who may predict, where the configuration asks for them.
* `pages` -- what people open in a browser: the documentation, and /try.
* `observation`, `metrics`, `logs` -- what an operator sees. By `notices` each worker tells of all.
* `contract` -- `service_contract.yaml`, generated and checked.
* `process` -- run the service in a process of its own and watch it.
"""
