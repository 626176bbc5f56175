"""The survey: its columns (`columns`), where it comes from (`sources`), what a valid row is (`validation`).

`embedded` draws rows from the aggregates that ship with this package; `aggregates` derives those from the real file.
Importing this package imports none of them: `columns` is plain Python and is used by the serving side too.
"""
