"""The worked example: a diabetes-risk model from raw survey rows to a verified prediction over HTTP.

The subpackages are the steps of the flow, in order, and none reaches back:

* `data` -- the survey: its columns, where it comes from, what a valid row is.
* `training` -- profile, train, evaluate, reduce, export, and write the package's files.
* `prediction` -- fetch, verify, load, predict: the model class that a service holds.
* `service` -- serve over HTTP.
* `promotion` -- track and register what was trained, approve it, and bring it into Git.
* `scoring` -- score files of any number of rows.
* `drift` -- compare scored files with the rows of training.
* `servers` -- the model in the servers of others: Seldon Core, MLServer.
"""

__version__ = "0.1.0"
