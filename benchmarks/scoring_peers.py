"""What scoring a file is compared with, all in one process: scoring in memory, pyarrow alone, and pandas.

Each function returns how many rows a processor second takes.
"""

import os
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.baseline.model import SECRET_FILE, SECRET_VARIABLE, BaselineModel
from diabetes_risk_model.data.columns import FEATURES
from diabetes_risk_model.prediction.batch import THRESHOLD
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.scoring.columns import find_forms
from diabetes_risk_model.scoring.lookup import Lookup
from diabetes_risk_model.scoring.outputs import PartWriter, parquet_writer

BATCH_ROWS = 1 << 17
_CHUNK_ROWS = 1 << 20
_ROUNDS = 5
_CODED = (("GenHlth", 5), ("Age", 13), ("Income", 8))
_READABLE = (("general_health", GeneralHealth), ("age", Age), ("income", Income))
_RISKS = ["NO_DIABETES", "DIABETES"]


def write_rows(path: Path, rows: int) -> None:
    """Write random answers as the survey codes them, body mass indices to a tenth."""
    numbers = np.random.default_rng(1)
    writer = None
    for start in range(0, rows, _CHUNK_ROWS):
        count = min(_CHUNK_ROWS, rows - start)
        columns: dict[str, Any] = {"BMI": np.round(numbers.uniform(15, 60, count), 1)}
        columns |= {name: numbers.integers(1, n + 1, count) for name, n in _CODED}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def in_memory(table: Table, source: Path) -> float:
    """Score arrays of codes: what the look-up alone takes."""
    batches = list(pq.ParquetFile(source).iter_batches(BATCH_ROWS, row_groups=[0]))
    lookup = Lookup(table, find_forms(batches[0].schema.names, str(source)))
    columns = [{name: batch.column(name) for name in batch.schema.names} for batch in batches]

    def once() -> None:
        for each in columns:
            lookup.cells[lookup.locate(each).places]

    return sum(map(len, batches)) / _least(once)


def from_frame_to_frame(table: Table, source: Path, *, readable: bool) -> float:
    """Score a data frame of pandas into another with risk and probability.

    Args:
        table: of the package.
        source: the rows, as `write_rows` writes them.
        readable: whether the frame has the texts that the service takes, instead of codes.
    """
    import pandas as pd

    frame = pq.ParquetFile(source).read_row_group(0).to_pandas()
    if readable:
        frame = pd.DataFrame(
            {
                "body_mass_index": frame["BMI"],
                **{
                    name: np.array([member.value for member in texts], object)[frame[code].to_numpy() - 1]
                    for (code, _), (name, texts) in zip(_CODED, _READABLE, strict=True)
                },
            }
        )
    lookup = Lookup(table, find_forms(list(frame.columns), str(source)))

    def once() -> None:
        found = []
        for start in range(0, len(frame), BATCH_ROWS):
            batch = pa.RecordBatch.from_pandas(frame.iloc[start : start + BATCH_ROWS], preserve_index=False)
            located = lookup.locate({name: batch.column(name) for name in batch.schema.names})
            found.append(lookup.cells[located.places])
        probability = np.concatenate(found)
        codes = (probability > THRESHOLD).view(np.int8)
        risk = pd.Categorical.from_codes(codes, categories=pd.Index(_RISKS))
        pd.DataFrame({"risk": risk, "probability": probability})

    return len(frame) / _least(once)


def pyarrow_alone(table: Table, source: Path) -> float:
    """Read the rows of a Parquet file and write scores that are there already: what no scoring can do without."""
    file = pq.ParquetFile(source)
    rows = file.metadata.row_group(0).num_rows
    lookup = Lookup(table, find_forms(file.schema_arrow.names, str(source)))
    read = [
        {name: batch.column(name) for name in batch.schema.names}
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[0])
    ]
    writer = PartWriter(".parquet", explained=False)
    start = 0
    for columns in read:
        probabilities = lookup.cells[lookup.locate(columns).places]
        writer.write(np.arange(start, start + len(probabilities)), probabilities, None)
        start += len(probabilities)
    scores = pq.read_table(pa.BufferReader(writer.finish()), read_dictionary=["risk"])

    def once() -> None:
        for _ in pq.ParquetFile(source).iter_batches(BATCH_ROWS, row_groups=[0], use_threads=False):
            pass
        with parquet_writer(pa.BufferOutputStream(), scores.schema) as written:
            written.write_table(scores, row_group_size=len(scores))

    return int(rows) / _least(once)


def by_pandas(predict: Callable[[Any], Any], names: Mapping[str, str], source: Path, folder: Path, rows: int) -> float:
    """Score with pandas, from Parquet to Parquet.

    Args:
        predict: takes a data frame, and returns probabilities of shape (n, 2).
        names: what the columns are called in training.
        source: the rows.
        folder: for the output.
        rows: how many of the rows.
    """
    import pandas as pd

    some = pq.ParquetFile(source).read_row_group(0).slice(0, rows)
    pq.write_table(some, folder / "some.parquet")

    def once() -> None:
        frame = pd.read_parquet(folder / "some.parquet").rename(columns=dict(names))
        probability = predict(frame)[:, 1]
        risk = np.where(probability > THRESHOLD, "DIABETES", "NO_DIABETES")
        pd.DataFrame({"risk": risk, "probability": probability}).to_parquet(folder / "pandas.parquet")

    return len(some) / _least(once, 2)


def reduced_pipeline(artefacts: Path) -> Callable[[Any], Any]:
    """Return what predicts with the package's pipeline of scikit-learn."""
    pipeline = pickle.loads((artefacts / "model.pkl").read_bytes())
    return lambda frame: pipeline.predict_proba(frame[list(INPUT_COLUMNS)].to_numpy(np.float64))


def whole_pipeline(folder: Path) -> Callable[[Any], Any]:
    """Return what predicts with the pickled pipeline of pycaret."""
    os.environ[SECRET_VARIABLE] = (folder / SECRET_FILE).read_text()
    pipeline = BaselineModel(str(folder))._pipeline
    return lambda frame: pipeline.predict_proba(frame.reindex(columns=[column.name for column in FEATURES]))


def _least(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Return the least processor time of some rounds, in seconds."""
    return min(_processor_seconds(work) for _ in range(rounds))


def _processor_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
