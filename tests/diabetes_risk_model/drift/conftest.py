"""A package with its training profile, batches like the training rows and unlike them, and their scores."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diabetes_risk_model.data.embedded import draw
from diabetes_risk_model.drift.check import Result, Wanted, check_drift
from diabetes_risk_model.drift.training_profile import FILE, TrainingProfile
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.scoring.processes import processes_of_this_machine
from diabetes_risk_model.scoring.run import Wanted as WantedScores
from diabetes_risk_model.scoring.run import score
from diabetes_risk_model.scoring.workers import Workers
from diabetes_risk_model.training.distributions import training_profile
from diabetes_risk_model.training.train import SELECTED

Check = Callable[..., Result]


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    with processes_of_this_machine(1) as processes:
        yield processes


@pytest.fixture(scope="session")
def profile(trained_model: Any) -> TrainingProfile:
    """The profile of the rows that the model was trained on."""
    frame = draw(2_000, seed=1)
    rows = frame[list(INPUT_COLUMNS)].to_numpy(dtype=np.float64)
    return training_profile(frame, SELECTED, trained_model.pipeline.predict_proba(rows)[:, 1])


@pytest.fixture
def profiled(make_bucket: Any, trained_model: Any, profile: TrainingProfile, tmp_path: Path) -> Any:
    """A bucket whose package holds the profile."""
    path = tmp_path / FILE
    path.write_bytes(profile.to_bytes())
    return make_bucket(files={**trained_model.files, FILE: path})


def same_rows(rows: int = 5_000) -> pd.DataFrame:
    """Rows from where the training rows come from, and others than those."""
    return draw(rows, seed=2)[list(INPUT_COLUMNS)]


def older_rows(rows: int = 5_000) -> pd.DataFrame:
    """The same, of people who are all older by fifteen years."""
    frame = same_rows(rows)
    frame["Age"] = (frame["Age"] + 3).clip(upper=13)
    return frame


@pytest.fixture
def scored(profiled: Any, workers: Workers, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """`scored(frame)` writes a batch and scores it. Returns the paths of the batch and of its scores."""

    def write(frame: pd.DataFrame, name: str = "batch", kind: str = "parquet") -> tuple[Path, Path]:
        source, output = tmp_path / f"{name}.in.{kind}", tmp_path / f"{name}.parquet"
        if kind == "csv":
            frame.to_csv(source, index=False)
        else:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), source, row_group_size=1_000)
        wanted = WantedScores(str(source), str(output), profiled.settings(), partition_rows=1_500)
        score(wanted, nullcontext(workers))
        return source, output

    return write


@pytest.fixture
def check(profiled: Any, tmp_path: Path) -> Check:
    """`check(scores, source)` compares a batch, and writes `report.html`."""

    def run(scores: object, source: object = None, **options: Any) -> Result:
        report = options.pop("report", tmp_path / "report.html")
        settings = options.pop("configuration", profiled.settings())
        given = None if source is None else str(source)
        return check_drift(Wanted(str(scores), str(report), given, settings, **options))

    return run
