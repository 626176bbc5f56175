"""The engines: load the parameters out of a verified package, and compute probabilities.

Both take rows in the order of the training columns, with NaN for what is to be imputed, and give the probability of
diabetes. They are built from a verified package only, never from a path.
"""

import json
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from diabetes_risk_model.data.columns import AGE, BMI, GENERAL_HEALTH, INCOME
from signed_parameters import ConfigurationError, VerifiedPackage

INPUT_COLUMNS = (BMI.name, GENERAL_HEALTH.name, AGE.name, INCOME.name)


class Engine(Protocol):
    """What computes probabilities."""

    def probability(self, row: tuple[float, float, float, float]) -> float:
        """Return the probability of diabetes for one row."""

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities, shape (n,), for rows of shape (n, 4)."""


class OnnxEngine:
    """Runs the ONNX model with onnxruntime, in one thread: a single row gains nothing from more."""

    def __init__(self, package: VerifiedPackage) -> None:
        self._session = package.load_onnx("model.onnx")
        (model_input,) = self._session.get_inputs()
        self._input = model_input.name

    def probability(self, row: tuple[float, float, float, float]) -> float:
        """Return the probability of diabetes for one row."""
        return float(self._run(np.array([row]))[0, 1])

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities, shape (n,), for rows of shape (n, 4)."""
        return self._run(rows)[:, 1].astype(np.float64)

    def _run(self, rows: NDArray[np.float64]) -> NDArray[Any]:
        (probabilities,) = self._session.run(["probabilities"], {self._input: rows})
        return probabilities  # type: ignore[no-any-return]


class PickleEngine:
    """Runs the reduced scikit-learn pipeline."""

    def __init__(self, package: VerifiedPackage) -> None:
        try:
            import sklearn  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                'engine "pickle" needs scikit-learn, which is not installed',
                remedy='Set engine to "onnx", or install scikit-learn in the version that the statement names.',
            ) from None
        self._pipeline = package.load_pickle("model.pkl")

    def probability(self, row: tuple[float, float, float, float]) -> float:
        """Return the probability of diabetes for one row."""
        return float(self.probabilities(np.array([row]))[0])

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities, shape (n,), for rows of shape (n, 4)."""
        return self._pipeline.predict_proba(rows)[:, 1]  # type: ignore[no-any-return]


def load_engine(package: VerifiedPackage, name: Literal["onnx", "pickle"]) -> Engine:
    """Build an engine from a verified package.

    Raises:
        ConfigurationError: what the engine needs is not installed, or the package is for other columns.
        UnsafePickle, MalformedPackage: the pickle, or the ONNX model, is refused.
    """
    try:
        columns = json.loads(package.read("manifest.json"))["columns"]
    except (ValueError, LookupError, TypeError, RecursionError):
        columns = None
    if columns != list(INPUT_COLUMNS):
        raise ConfigurationError(
            "the package's model takes other columns than this service has",
            expected=", ".join(INPUT_COLUMNS),
            found="none in manifest.json" if columns is None else str(columns)[:200],
            remedy="Deploy the version of the code that belongs to these parameters.",
        )
    return OnnxEngine(package) if name == "onnx" else PickleEngine(package)
