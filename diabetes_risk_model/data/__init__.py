"""The survey: where its rows come from, and what a valid row is.

`columns` names the columns, once. `sources` loads the survey from a file, from Kaggle (`kaggle_file`) or from the
embedded survey; `csv_file` reads a file, `validation` checks its rows, `errors` holds what can go wrong.
`embedded` draws rows from the aggregates that ship with this package; `aggregates` derives those from the real file.
Importing this package imports none of them: `columns` is plain Python and is used by the serving side too.
"""
