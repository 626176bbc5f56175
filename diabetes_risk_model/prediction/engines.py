"""The engines: load the parameters out of a verified package, and compute probabilities.

All take answers in the order of the training columns, with NaN for what is to be imputed, and give the probability of
diabetes. They are built from a verified package only, never from a path. What only one of them needs, it imports.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from diabetes_risk_model.data.columns import AGE, BMI, GENERAL_HEALTH, INCOME
from diabetes_risk_model.prediction import table
from diabetes_risk_model.prediction.encoding import Columns, Row
from diabetes_risk_model.prediction.settings import EngineName
from signed_parameters import ConfigurationError, VerifiedPackage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INPUT_COLUMNS = (BMI.name, GENERAL_HEALTH.name, AGE.name, INCOME.name)


class Engine(Protocol):
    """What computes probabilities."""

    def probability(self, row: Row) -> float:
        """Return the probability of diabetes for one row."""

    def probabilities(self, columns: Columns) -> Iterable[float]:
        """Return the probabilities, one for each row of the four columns."""


class OnnxEngine:
    """Runs the ONNX model with onnxruntime, in one thread: a single row gains nothing from more."""

    def __init__(self, package: VerifiedPackage) -> None:
        import numpy

        self._array = numpy.array
        self._session = package.load_onnx("model.onnx")
        (model_input,) = self._session.get_inputs()
        self._input = model_input.name

    def probability(self, row: Row) -> float:
        """Return the probability of diabetes for one row."""
        return float(self._run(self._array([row]))[0, 1])

    def probabilities(self, columns: Columns) -> Iterable[float]:
        """Return the probabilities, one for each row of the four columns."""
        probabilities: list[float] = self._run(_rows(columns))[:, 1].tolist()
        return probabilities

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

    def probability(self, row: Row) -> float:
        """Return the probability of diabetes for one row."""
        return float(self._pipeline.predict_proba([row])[0, 1])

    def probabilities(self, columns: Columns) -> Iterable[float]:
        """Return the probabilities, one for each row of the four columns."""
        probabilities: list[float] = self._pipeline.predict_proba(_rows(columns))[:, 1].tolist()
        return probabilities


def load_engine(package: VerifiedPackage, name: EngineName) -> Engine:
    """Build an engine from a verified package.

    Raises:
        ConfigurationError: what the engine needs is not installed or not packaged, or the package is for other columns.
        UnsafePickle, MalformedPackage: the pickle, the ONNX model, or the table is refused.
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
    engines: Mapping[EngineName, Callable[[VerifiedPackage], Engine]] = {
        "table": _table_engine,
        "onnx": OnnxEngine,
        "pickle": PickleEngine,
    }
    return engines[name](package)


def _table_engine(package: VerifiedPackage) -> Engine:
    if table.FILE not in package.names:
        raise ConfigurationError(
            f'engine "table" needs {table.FILE}, which the package does not hold',
            remedy='Set engine to "onnx", or train the model again: training before there was this engine wrote no '
            "table, and for a model of very many cells none is written.",
        )
    return table.TableEngine(table.Table.from_bytes(package.read(table.FILE), INPUT_COLUMNS))


def _rows(columns: Columns) -> NDArray[np.float64]:
    """Return an array of shape (n, 4)."""
    import numpy as np

    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
