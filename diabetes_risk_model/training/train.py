"""Trains with pycaret, one function a step: prepare, compare, create, tune, finalize.

Each function returns something to look at, and `run.train` only calls them in this order.

Cross-validation runs in this process, one fold after the other, and fits nothing twice; or on the workers of a
cluster (`parallel`). pycaret's default starts worker
processes that each import pycaret anew, which takes longer than it saves. Threads are no way out: while it scores a
fold, pycaret switches a flag of the whole process that would make another thread's fold skip its preprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diabetes_risk_model.data.columns import AGE, BMI, GENERAL_HEALTH, INCOME, TARGET
from diabetes_risk_model.training.errors import SelectionError, TrainingError
from diabetes_risk_model.training.profiles import Profile, find_profile
from diabetes_risk_model.training.quiet import import_pycaret, pycaret_call, quiet
from diabetes_risk_model.training.reuse import FittedSteps

if TYPE_CHECKING:
    import pandas as pd

    from diabetes_risk_model.data.sources import Survey
    from diabetes_risk_model.training.parallel import Workers

ESTIMATOR = "gbc"
OPTIMIZED = "F1"
SELECTED = (BMI, GENERAL_HEALTH, AGE, INCOME)
SETTINGS: dict[str, Any] = {
    "target": TARGET.name,
    "remove_outliers": True,
    "normalize": True,
    "normalize_method": "zscore",
    "remove_multicollinearity": True,
    "feature_selection": True,
    "n_jobs": 1,
}
# LightGBM ranks the columns by how often its trees split on them. As pycaret sets it, splits that gain next to nothing
# count too, and most of those are on columns of many values: on 20,000 rows it takes days of poor health for income on
# every second try. With a least gain for a split the choice is that of all rows, for nearly every sample and seed.
SELECTION_GAIN = 2.5
_SURROUNDINGS: dict[str, Any] = {"html": False, "system_log": False, "memory": False, "verbose": False}


@dataclass(frozen=True)
class Experiment:
    """A prepared pycaret experiment.

    Attributes:
        pycaret: pycaret's own `ClassificationExperiment`.
        profile: how much work the steps do.
        seed: of every random choice.
        rows: number of survey rows that go in.
        train_rows: rows left to train on, after the removal of outliers.
        test_rows: rows held out.
        summary: pycaret's table of the settings.
        workers: of a cluster, to which cross-validations go; None if they run in this process.
    """

    pycaret: Any
    profile: Profile
    seed: int
    rows: int
    train_rows: int
    test_rows: int
    summary: pd.DataFrame
    workers: Workers | None = field(default=None, repr=False, compare=False)
    _fitted: FittedSteps = field(default_factory=FittedSteps, repr=False, compare=False)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make a call of pycaret's inside the block: silent, nothing fitted twice, folds on workers if there are some.

        Raises:
            Unavailable: the workers went away.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        workers = nullcontext() if self.workers is None else self.workers.used()
        # One thread for the sums of linear algebra, as on a worker: their number could change a last digit.
        with pycaret_call(), threadpool_limits(1), workers, self._fitted.reused():
            yield


@dataclass(frozen=True)
class Trained:
    """A trained model, and how it scores in cross-validation.

    Attributes:
        model: the fitted estimator, without the preprocessing.
        scores: a row for each fold, then "Mean" and "Std"; a column for each metric, 0 to 1.
        parameters: the hyperparameters that the scores belong to.
        kept: False if `tune` found nothing better, so that `model` is the one that it was given.
    """

    model: Any
    scores: pd.DataFrame
    parameters: dict[str, Any]
    kept: bool = True

    def mean(self, metric: str) -> float:
        """Mean of a metric, such as "F1", over the folds."""
        return float(self.scores[metric]["Mean"])

    def std(self, metric: str) -> float:
        """Standard deviation of a metric over the folds."""
        return float(self.scores[metric]["Std"])


def prepare(
    survey: Survey, profile: str | Profile = "quick", seed: int = 42, workers: Workers | None = None
) -> Experiment:
    """Set pycaret up: hold out 30% of the rows, remove outliers, scale, select four columns.

    Args:
        survey: the rows; if the profile takes fewer, a random sample with equal shares of the classes.
        profile: "quick" or "full".
        seed: of the sample, the split and everything after.
        workers: of a cluster, on which the steps after this one cross-validate.

    Raises:
        TrainingError: if there is no such profile, or too few rows for its folds.
        SelectionError: if other columns were selected than those that the service asks for.
    """
    profile = find_profile(profile)
    frame = _sample(survey.frame, profile, seed)
    module = import_pycaret()
    from lightgbm import LGBMClassifier

    experiment, fitted = module.ClassificationExperiment(), FittedSteps()
    with pycaret_call(), fitted.reused():
        experiment.setup(
            frame,
            **SETTINGS,
            # One thread: several compete for the cores, and are slower on data of this size.
            feature_selection_estimator=LGBMClassifier(min_split_gain=SELECTION_GAIN, n_jobs=1, verbose=-1),
            session_id=seed,
            fold=profile.folds,
            **_SURROUNDINGS,
        )
        summary = experiment.pull().set_index("Description")
        summary.loc["Feature selection estimator"] = f"lightgbm, splits that gain {SELECTION_GAIN} or more"
    with quiet():  # joblib complains of slow disks
        train, test = experiment.X_train_transformed, experiment.X_test_transformed
    check_selection(tuple(train.columns))
    return Experiment(
        experiment,
        profile,
        seed,
        rows=len(frame),
        train_rows=len(train),
        test_rows=len(test),
        summary=summary,
        workers=workers,
        _fitted=fitted,
    )


def _sample(frame: pd.DataFrame, profile: Profile, seed: int) -> pd.DataFrame:
    if profile.rows is not None and len(frame) > profile.rows:
        share = profile.rows / len(frame)
        frame = frame.groupby(TARGET.name).sample(frac=share, random_state=seed).sort_index()
    fewest = frame[TARGET.name].value_counts().min() if frame[TARGET.name].nunique() == 2 else 0
    if fewest < 10 * profile.folds:
        raise TrainingError(
            f"The survey has {fewest} rows of its rarer class; expected at least {10 * profile.folds} for "
            f"{profile.folds} folds. Use more rows."
        )
    return frame.reset_index(drop=True)


def check_selection(names: tuple[str, ...]) -> None:
    """Refuse columns other than those that the service asks for.

    Raises:
        SelectionError: if `names` is not BMI, GeneralHealth, Age, Income, in this order.
    """
    expected = tuple(column.name for column in SELECTED)
    if names != expected:
        raise SelectionError(
            f"Feature selection kept {', '.join(names)}; expected {', '.join(expected)}, which are the inputs of the "
            "service. With few rows the choice is a matter of luck: use more rows or another seed. If it stays so, "
            "the data has changed, and the inputs of the service have to change with it."
        )


def compare(experiment: Experiment) -> pd.DataFrame:
    """Cross-validate the candidates.

    Returns:
        A row for each candidate, the highest F1 first: its name, and the mean of each metric over the folds.
    """
    with experiment.call():
        experiment.pycaret.compare_models(
            include=list(experiment.profile.candidates), sort=OPTIMIZED, errors="raise", verbose=False
        )
        table: pd.DataFrame = experiment.pycaret.pull()
    # Without the seconds that a fold took, which tell how much of it was fitted before.
    return table.drop(columns="TT (Sec)")


def create(experiment: Experiment) -> Trained:
    """Cross-validate gradient boosting with its default hyperparameters, then fit it to all training rows."""
    with experiment.call():
        model = experiment.pycaret.create_model(ESTIMATOR, verbose=False)
        return Trained(model, experiment.pycaret.pull(), model.get_params())


def tune(experiment: Experiment, created: Trained) -> Trained:
    """Try random sets of hyperparameters, and keep the best only if its F1 is above that of `created`."""
    with experiment.call():
        model, search = experiment.pycaret.tune_model(
            created.model,
            optimize=OPTIMIZED,
            n_iter=experiment.profile.tuning_iterations,
            choose_better=True,
            return_tuner=True,
            tuner_verbose=False,
            verbose=False,
        )
        scores = experiment.pycaret.pull()
    found = {name.removeprefix("actual_estimator__"): value for name, value in search.best_params_.items()}
    parameters = {**created.parameters, **found}
    return Trained(model, scores, parameters, kept=_same(model.get_params(), parameters))


def _same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return all(left[name] == value for name, value in right.items())


def finalize(experiment: Experiment, trained: Trained) -> Any:
    """Fit preprocessing and model to all rows, the held-out ones too, and return pycaret's pipeline.

    Raises:
        SelectionError: if other columns were selected from all rows than from the training rows.
    """
    with pycaret_call():
        pipeline = experiment.pycaret.finalize_model(trained.model)
    check_selection(tuple(pipeline.steps[-1][1].feature_names_in_))
    return pipeline
