"""Keeps the noise of other libraries off the terminal, and their traces out of the process, while a step runs."""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

LOG_PATH = "PYCARET_CUSTOM_LOGGING_PATH"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings inside the block, and restore the filters after it.

    pycaret, sweetviz and yellowbrick use interfaces that pandas, numpy and matplotlib have deprecated. A reader can do
    nothing about that, and the versions are locked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_pycaret() -> Any:
    """Import `pycaret.classification` (about 10 seconds, once a process) and return it.

    As it is imported, pycaret opens a log file in the current folder and sends the whole process's warnings there.
    Here neither happens.
    """
    showwarning = warnings.showwarning
    before = os.environ.get(LOG_PATH)
    os.environ[LOG_PATH] = os.devnull
    try:
        with quiet():
            import pycaret.classification
            from pycaret.internal.logging import captureWarnings

            captureWarnings(False)
    finally:
        warnings.showwarning = showwarning
        if before is None:
            del os.environ[LOG_PATH]
        else:
            os.environ[LOG_PATH] = before
    return pycaret.classification


@contextmanager
def pycaret_call() -> Iterator[None]:
    """Silence pycaret inside the block, but leave the terminal to our own progress.

    pycaret sends everything that is written to stdout and stderr during cross-validation to its log, a spinner too.
    """
    experiments = "pycaret.internal.pycaret_experiment"
    with (
        quiet(),
        patch(f"{experiments}.supervised_experiment.redirect_output", nullcontext),
        patch(f"{experiments}.tabular_experiment.redirect_output", nullcontext),
    ):
        yield


@contextmanager
def drawing() -> Iterator[None]:
    """Draw figures inside the block without a window, then close them and restore matplotlib's settings.

    A notebook keeps its own backend, its style and the figures that it has open.
    """
    with quiet(), ExitStack() as restore:
        import matplotlib as mpl
        from matplotlib import pyplot as plt

        backend = mpl.get_backend()
        opened = set(plt.get_fignums())
        restore.enter_context(mpl.rc_context())
        if backend.lower() != "agg" and not opened:
            plt.switch_backend("Agg")
            restore.callback(plt.switch_backend, backend)
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - opened:
                plt.close(number)
