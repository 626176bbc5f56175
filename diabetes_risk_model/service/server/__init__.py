"""The server: the application in one process or several, and its end. `python -m diabetes_risk_model.service`.

* `options` -- what the configuration file says of connections and of the end.
* `connections` -- what one connection may cost.
* `draining` -- the server of one process, which ends without losing a request.
* `workers` -- several processes that share a port.
* `command` -- puts these together.
"""
