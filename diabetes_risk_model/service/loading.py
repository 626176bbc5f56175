"""Loads the models beside the running service, and tries again where the storage, not the package, is to blame."""

import logging
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ml_base.utilities import ModelManager
from rest_model_service.helpers import load_type

from diabetes_risk_model.service.configuration import CheckedModel, LoadingRetries
from signed_parameters import SignedParametersError, StorageError, TooLarge

_REFUSED_SECONDS = 30
_JITTER = 0.2

_logger = logging.getLogger(__name__)


class ModelLoading:
    """The models of the service, on their way.

    What the storage keeps back (it is away or slow, the package is not there yet, or access is not granted yet) is
    asked for again and again. A package that was refused, and a configuration that is not usable, are final.

    Attributes:
        reason: class of the error that keeps a model from being loaded; None while none does.
        retrying: whether another attempt will be made after that error.
        failures: how often loading failed, by the class of the error.
    """

    def __init__(self, models: Sequence[CheckedModel], retries: LoadingRetries) -> None:
        self.reason: str | None = None
        self.retrying = False
        self._attempted = False
        self.failures: Counter[str] = Counter()
        self._waiting = list(models)
        self._retries = retries
        self._next_attempt = 0.0
        self._loaded: dict[str, Any] = {}
        self._stopped = threading.Event()
        self._started = False

    @property
    def ready(self) -> bool:
        """Whether every model is loaded."""
        return not self._waiting

    @property
    def attempted(self) -> bool:
        """Whether each model was attempted at least once, or an error was final."""
        return self._attempted or self.ready

    @property
    def retry_after(self) -> int:
        """Seconds after which asking again makes sense."""
        return max(1, math.ceil(self._next_attempt - time.monotonic())) if self.retrying else _REFUSED_SECONDS

    def get(self, name: str) -> Any | None:
        """Return a model by its qualified name; None while it is not loaded."""
        return self._loaded.get(name)

    @property
    def loaded(self) -> Mapping[str, Any]:
        """The models that are loaded, by their qualified names."""
        return self._loaded

    def start(self) -> None:
        """Begin to load, in a thread of its own, unless that has begun."""
        if self._started:
            return
        self._started = True
        threading.Thread(target=self._run, name="model-loading", daemon=True).start()

    def stop(self) -> None:
        """Make no further attempt."""
        self._stopped.set()

    def _run(self) -> None:
        pause = self._retries.first_seconds
        while not self._stopped.is_set():
            failure = self._attempt()
            if failure is None:
                self.reason, self.retrying = None, False
                self._attempted = True
                return
            retrying = can_help(failure)
            self.failures[type(failure).__name__] += 1
            self._log(failure, pause if retrying else None)
            self._next_attempt = time.monotonic() + pause
            self.reason, self.retrying = type(failure).__name__, retrying
            self._attempted = True
            if not retrying:
                return
            # Pods that started together must not come back together.
            self._stopped.wait(pause * random.uniform(1 - _JITTER, 1))
            pause = min(2 * pause, self._retries.longest_seconds)

    def _attempt(self) -> Exception | None:
        """Load what is not loaded yet. Return the first error, a final one before others; None if there was none."""
        failures: list[Exception] = []
        for model in list(self._waiting):
            try:
                loaded = _load(model)
            except Exception as failure:
                failures.append(failure)
            else:
                self._loaded[loaded.qualified_name] = loaded
                self._waiting.remove(model)
                _logger.info("Loaded the model %s.", loaded.qualified_name)
        final = [failure for failure in failures if not can_help(failure)]
        return next(iter(final or failures), None)

    def _log(self, failure: Exception, pause: float | None) -> None:
        what = f"{type(failure).__module__}.{type(failure).__name__}"
        if isinstance(failure, SignedParametersError):
            what = f"{what}: {failure}"
        if pause is not None:
            _logger.warning("A model could not be loaded yet, next attempt within %g s. %s", pause, what)
        else:
            known = isinstance(failure, SignedParametersError)
            _logger.error("A model cannot be loaded. %s", what, exc_info=None if known else failure)


def can_help(failure: Exception) -> bool:
    """Return whether it can help to try again after this failure."""
    return isinstance(failure, StorageError) and not isinstance(failure, TooLarge)


def _load(configured: CheckedModel) -> Any:
    manager = ModelManager()
    model = load_type(configured.class_path)(**(configured.configuration or {}))
    manager.add_model(model)
    for decorator in configured.decorators or ():
        decorating = load_type(decorator.class_path)(**(decorator.configuration or {}))
        manager.add_decorator(model.qualified_name, decorating)
    return manager.get_model(model.qualified_name)
