"""Profiles the survey: an HTML report by sweetviz on every column, the target set, and a table of the same in short."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from diabetes_risk_model.data.columns import FEATURES, TARGET
from diabetes_risk_model.training.errors import TrainingError
from diabetes_risk_model.training.quiet import drawing

if TYPE_CHECKING:
    import pandas as pd

    from diabetes_risk_model.data.sources import Survey


def profile_survey(survey: Survey, path: Path, *, rows: int = 20_000, seed: int = 42) -> pd.DataFrame:
    """Write the report as one HTML file, and describe each column.

    Args:
        survey: the survey to describe.
        path: the HTML file to write.
        rows: the report describes a random sample of so many rows, if the survey has more. Its title says so.
        seed: of the sample.

    Returns:
        A row for each of the 21 features: minimum, median, maximum, share of missing values (0 to 1), and the
        correlation with the target (Spearman's, -1 to 1), the strongest first. It describes all rows of the survey.

    Raises:
        TrainingError: if the survey has no rows.
    """
    if survey.frame.empty:
        raise TrainingError("Cannot profile a survey without rows; expected at least one.")
    _write_report(survey, path, rows, seed)
    features = survey.frame[[column.name for column in FEATURES]]
    table = features.agg(["min", "median", "max"]).T
    table["missing"] = features.isna().mean()
    table["correlation"] = features.corrwith(survey.frame[TARGET.name], method="spearman")
    return table.sort_values("correlation", key=abs, ascending=False)


def _write_report(survey: Survey, path: Path, rows: int, seed: int) -> None:
    frame = survey.frame
    title = f"{survey.source} survey"
    if len(frame) > rows:
        # The report has room for about twenty letters; it shows the number of rows below.
        title = f"{survey.source}, a sample"
        frame = frame.sample(rows, random_state=seed)
    with drawing():
        import sweetviz
        from tqdm.std import tqdm

    # sweetviz hides its progress bar in a file, which a notebook would show all the same.
    with drawing(), patch("sweetviz.dataframe_report.tqdm", tqdm):
        report = sweetviz.DataframeReport(
            [frame.reset_index(drop=True), title],
            target_feature_name=TARGET.name,
            pairwise_analysis="off",
            verbosity="off",
        )
        report.show_html(str(path), open_browser=False)
