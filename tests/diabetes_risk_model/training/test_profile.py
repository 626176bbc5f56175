import pytest

from diabetes_risk_model.data.columns import FEATURES
from diabetes_risk_model.data.sources import Survey
from diabetes_risk_model.training.errors import TrainingError
from diabetes_risk_model.training.profile import profile_survey


def test_a_survey_without_rows_is_refused(frame, tmp_path):
    with pytest.raises(TrainingError, match="without rows"):
        profile_survey(Survey(frame.head(0), "file", "a test"), tmp_path / "profile.html")


@pytest.mark.training
def test_the_report_names_its_sample_and_the_table_describes_every_row(frame, tmp_path, capfd):
    path = tmp_path / "profile.html"
    table = profile_survey(Survey(frame, "file", "a test"), path, rows=200)
    page = path.read_text(encoding="utf-8")
    assert "file, a sample" in page
    assert all(column.name in page for column in FEATURES)
    assert set(table.index) == {column.name for column in FEATURES}
    assert table.index[0] in ("BMI", "Age")
    assert table.loc["Age", "max"] == frame["Age"].max()
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == [path]
