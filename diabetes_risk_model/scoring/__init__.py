"""Batch scoring: any number of rows, from Parquet or CSV, on the processors of this machine or on a Dask cluster.

* `inputs` -- find the files. `columns` -- which columns hold the answers, and in which form.
* `csv_lines`, `parquet_files` -- read them. `partitions` -- divide them, and number the rows.
* `encoding`, `lookup` -- from columns to probabilities. `explanation` -- what each answer contributes.
* `model` -- the verified package, once in each process.
* `task` -- what a worker does with a partition. `outputs` -- the form of what it writes, `parts` -- where to.
* `assembly` -- the output, of its parts. `parquet_footers` puts Parquet files together.
* `cluster` -- the workers. `run` -- all of it. `command` -- `diabetes-risk-model score`.
"""
