"""The side of joblib: takes the folds of a cross-validation, pickles each without its tables, hands back its scores."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from joblib import hash as digest
from joblib.parallel import FallbackToBackend, ParallelBackendBase, SequentialBackend

if TYPE_CHECKING:
    from distributed import Future

    from diabetes_risk_model.training.parallel import Workers

_AHEAD = 1_000  # folds that joblib hands over before one is done
_LARGE_BYTES = 10_000


class Folds(ParallelBackendBase):  # type: ignore[misc]
    """A backend of joblib's, to be used in one block of `joblib.parallel_config`.

    Args:
        workers: to which the folds go.
    """

    def __init__(self, workers: Workers) -> None:
        super().__init__(nesting_level=0)
        self._workers = workers
        self._names: dict[int, tuple[Any, str]] = {}

    def configure(self, n_jobs: int = 1, parallel: Any = None, prefer: str | None = None, **options: Any) -> int:
        """Take cross-validations, and leave to this process the loops inside an estimator.

        Those say which kind of parallelism they prefer; their parts are too small to be sent.
        """
        if prefer is not None:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many folds are handed over at once: all, whatever pycaret's n_jobs is."""
        return _AHEAD

    def apply_async(self, func: Any, callback: Callable[[Any], None] | None = None) -> Fold:
        """Send a fold."""
        file, tables = io.BytesIO(), dict[str, Any]()
        _Pickler(file, tables, self._name).dump(func)
        rows, fold, fit = None, None, None
        for _, arguments, options in func.items:
            if (rows := options.get("train")) is not None:
                fold = self._name(rows)
                fit = f"{fold} {_model(*arguments[:1], **(options.get('parameters') or {}))}"
                break
        future = self._workers.submit(file.getvalue(), tables, fold, 0 if rows is None else len(rows), fit)
        return Fold(self._workers, future, fit, callback)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Withdraw what was sent, after an error or Ctrl-C."""
        self._workers.withdraw()

    def get_nested_backend(self) -> tuple[Any, None]:
        """Return what loops inside a fold use: no parallelism."""
        return SequentialBackend(nesting_level=1), None

    def _name(self, table: Any) -> str:
        """Return the digest of a table, which is made once while the table is in use."""
        if id(table) not in self._names:
            self._names[id(table)] = table, str(digest(table))
        return self._names[id(table)][1]


class Fold:
    """A fold on its way. `callback` lets joblib hand over more."""

    def __init__(
        self, workers: Workers, future: Future[Any], fit: str | None, callback: Callable[[Any], None] | None
    ) -> None:
        self._workers, self._future, self._fit, self._callback = workers, future, fit, callback

    def get(self) -> Any:
        """Wait for what it scored."""
        result = self._workers.result(self._future, self._fit)
        if self._callback is not None:
            self._callback(result)
        return result


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Leaves large tables out of a pickle, and their names in it."""

    def __init__(self, file: io.BytesIO, tables: dict[str, Any], name: Callable[[Any], str]) -> None:
        super().__init__(file, protocol=5)
        self._tables, self._name = tables, name

    def persistent_id(self, value: Any) -> str | None:
        if not isinstance(value, np.ndarray | pd.DataFrame | pd.Series) or _size(value) < _LARGE_BYTES:
            return None
        name = self._name(value)
        self._tables[name] = value
        return name


def _model(estimator: Any = None, **searched: Any) -> str:
    """Return what the last step of a pipeline is, and its hyperparameters, of which a search has yet to set some."""
    step, model = getattr(estimator, "steps", [("", estimator)])[-1]
    known = model.get_params() if hasattr(model, "get_params") else {}
    searched = {name.removeprefix(f"{step}__"): value for name, value in searched.items()}
    return f"{type(model).__name__} {sorted({**known, **searched}.items())}"


def _size(table: Any) -> int:
    """Return the size of a table in bytes."""
    if isinstance(table, np.ndarray):
        return table.nbytes
    return int(np.sum(table.memory_usage()))
