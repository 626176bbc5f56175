"""The service: the model over HTTP.

* `process` -- run the service in a process of its own and watch it.
"""
