"""What the tests of training share: a hand-made trained pipeline, and one real run of a small profile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from diabetes_risk_model.data.columns import COLUMNS, FEATURES, TARGET
from diabetes_risk_model.data.sources import Survey, load_survey
from diabetes_risk_model.training.profiles import Profile
from diabetes_risk_model.training.run import Artefacts, train
from diabetes_risk_model.training.train import SELECTED


@dataclass
class Step:
    """A step as pycaret wraps it: which columns it treats, and whether only training uses it."""

    transformer: Any
    _include: list[str] | None
    feature_names_in_: list[str]
    _train_only: bool = False


class Trained:
    """A pipeline with pycaret's attributes, made of fitted scikit-learn parts, that predicts from a data frame."""

    def __init__(self, steps: list[tuple[str, Any]]) -> None:
        self.steps = steps

    def _transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        for _, step in self.steps[:-1]:
            if not step._train_only and step._include:
                values = step.transformer.transform(frame[step._include])
                frame = pd.DataFrame(np.asarray(values), columns=step.transformer.get_feature_names_out())
        return frame

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.steps[-1][1].predict(self._transform(frame))

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return self.steps[-1][1].predict_proba(self._transform(frame))


def random_frame(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Rows with every column of the survey, uniform within its range; the target depends on BMI and age."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {column.name: generator.integers(column.minimum, column.maximum + 1, rows) for column in COLUMNS}
    )
    frame[TARGET.name] = (frame["BMI"] / 9 + frame["Age"] + generator.normal(0, 3, rows) > 13).astype(int)
    return frame


def make_trained(frame: pd.DataFrame) -> Trained:
    """Fit imputer, scaler, selection and gradient boosting as pycaret does, with a classifier of ten trees."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.feature_selection import SelectFromModel
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    names = [column.name for column in FEATURES]
    selected = [column.name for column in SELECTED]
    y = frame[TARGET.name]
    imputer = SimpleImputer(strategy="mean").fit(frame[names])
    filled = pd.DataFrame(imputer.transform(frame[names]), columns=names)
    scaler = StandardScaler().fit(filled)
    scaled = pd.DataFrame(scaler.transform(filled), columns=names)
    chosen = SelectFromModel(_Importances(names, selected), threshold=0.5).fit(scaled, y)
    model = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(scaled[selected], y)
    parts = [("imputer", imputer), ("normalize", scaler), ("feature_selection", chosen)]
    return Trained([*((name, Step(part, names, names)) for name, part in parts), ("actual_estimator", model)])


class _Importances:
    """An estimator that gives the selected columns an importance of 1, and the others none."""

    def __init__(self, names: list[str], selected: list[str]) -> None:
        self.names, self.selected = names, selected

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"names": self.names, "selected": self.selected}

    def fit(self, x: Any, y: Any) -> "_Importances":
        self.feature_importances_ = np.array([float(name in self.selected) for name in self.names])
        return self


@pytest.fixture
def frame() -> pd.DataFrame:
    return random_frame()


@pytest.fixture
def trained(frame: pd.DataFrame) -> Trained:
    return make_trained(frame)


@pytest.fixture(scope="session")
def survey() -> Survey:
    """The rows that the quick profile sees in the demo."""
    return load_survey("embedded", rows=20_000, seed=42)


@pytest.fixture(scope="session")
def small() -> Profile:
    """As little work as a training run can do."""
    return Profile("small", rows=None, folds=2, candidates=("lr", "gbc"), tuning_iterations=1, report_rows=500)


@pytest.fixture(scope="session")
def artefacts(survey: Survey, small: Profile, tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """One real training run."""
    folder = tmp_path_factory.mktemp("training") / "artefacts"
    return train(survey, folder, profile=small, seed=42, version="0.1.0", parameters_version="2026_11_21")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
