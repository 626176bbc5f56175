"""Rows to score, a package to score them with, and workers: in this process, or in processes of their own."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.table import Table, TableEngine
from diabetes_risk_model.scoring.inputs import DataFile, find_files
from diabetes_risk_model.scoring.run import Summary, Wanted, score

Score = Callable[..., Summary]


@pytest.fixture(scope="session")
def threads() -> Iterator[Client]:
    """Two workers in this process."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def table(trained_model: Any) -> Table:
    """The table of the package's model."""
    return Table.from_bytes(trained_model.files["model.table"].read_bytes(), INPUT_COLUMNS)


@pytest.fixture(scope="session")
def survey() -> pa.Table:
    """Coded rows, some answers of which are missing, beside columns that are not looked at."""
    numbers, rows = np.random.default_rng(7), 20_000
    columns = {
        "Smoker": pa.array(numbers.integers(0, 2, rows)),
        "BMI": pa.array(np.round(numbers.uniform(10, 100, rows), 1), mask=numbers.random(rows) < 0.1),
        "GenHlth": pa.array(numbers.integers(1, 6, rows)),
        "Age": pa.array(numbers.integers(1, 14, rows), mask=numbers.random(rows) < 0.1),
        "Income": pa.array(numbers.integers(1, 9, rows).astype(float), mask=numbers.random(rows) < 0.1),
    }
    return pa.table(columns)


@pytest.fixture(scope="session")
def answers(survey: pa.Table, table: Table) -> list[float]:
    """The service's own answers to the rows of the survey."""
    columns = (survey[name].to_pylist() for name in ("BMI", "GenHlth", "Age", "Income"))
    filled = [[np.nan if value is None else value for value in column] for column in columns]
    return list(TableEngine(table).probabilities((filled[0], filled[1], filled[2], filled[3])))


@pytest.fixture
def source(tmp_path: Path, survey: pa.Table) -> Path:
    """The survey as Parquet, in row groups of a thousand rows."""
    path = tmp_path / "survey.parquet"
    pq.write_table(survey, path, row_group_size=1_000)
    return path


@pytest.fixture
def csv_source(tmp_path: Path, survey: pa.Table) -> Path:
    """The survey as CSV."""
    path = tmp_path / "survey.csv"
    pc.write_csv(survey, path)
    return path


@pytest.fixture
def run(bucket: Any, threads: Client) -> Score:
    """`run(source, output, ...)` scores with workers in this process, or with those of `client`."""

    def run(source: object, output: object, *, client: Any = None, **options: Any) -> Summary:
        wanted = Wanted(str(source), str(output), **{"configuration": bucket.settings(), **options})
        return score(wanted, nullcontext(client or threads))

    return run


@pytest.fixture
def data_file(tmp_path: Path) -> Callable[[bytes], DataFile]:
    """`data_file(content)` is a CSV file."""

    def write(content: bytes) -> DataFile:
        (tmp_path / "rows.csv").write_bytes(content)
        (file,) = find_files(str(tmp_path / "rows.csv"))
        return file

    return write
