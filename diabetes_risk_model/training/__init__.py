"""From survey rows to the files of a package: profile, train, evaluate, reduce, export, tabulate.

The modules are the steps, in the order in which they run:

* `profile` -- an HTML report on the survey's columns, the target set.
* `train` -- prepare, compare, create, tune and finalize with pycaret; `profiles` says with how many rows and folds.
* `evaluate` -- scores on rows that training never saw, and six plots.
* `reduce` -- the trained pipeline as plain scikit-learn, with equal answers for every row.
* `export` -- the same as ONNX, checked again; `agreement` holds the check.
* `table` -- the same as a table of all its answers, checked in every cell.
* `distributions` -- how the rows are distributed, in counts, for later drift checks.
* `card` -- the model card, as Markdown and as one HTML file.
* `run` -- all of it: `train(survey, folder, ...)` writes the files that the package carries.

`parallel` sends the folds of cross-validation to the workers of a Dask cluster: `folds` is the side of joblib, `worker`
what runs there. `reuse` lets nothing be fitted twice. `quiet` keeps the noise of other libraries off the terminal,
`libraries` names their versions, `errors` holds what can go wrong. Importing this package imports none of them.
"""
