"""The drift check: a scored batch beside the rows that the model was trained on.

* `training_profile` -- what the package says of those rows: counts, and no row.
* `counting` -- the same counts of a batch, its input and its scores, in one pass and little memory.
* `comparison` -- how far the two lie apart: population stability index, chi-square, shares of missing and rejected.
* `check` -- all of it. `report` writes it as one HTML file, with `pictures`.
* `command` -- `diabetes-risk-model drift`.
"""
