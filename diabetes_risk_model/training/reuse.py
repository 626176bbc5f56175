"""Lets pycaret reuse what it has already fitted, from fold to fold of one call and from one call to the next.

Every call cross-validates on the same folds, so the same outliers are looked for and the same columns selected again
for each candidate. pycaret's pipelines have a cache for their fitted steps, but the copies that cross-validation makes
of a pipeline come without it, so pycaret 3.3 repeats it all. Here the copies get one: a hash of a step's settings and
of its input finds the fitted step. The scores are the same to the last bit.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


class FittedSteps:
    """Steps of pipelines that were fitted, in a temporary folder that only this user can read.

    The folder goes when the object goes, or at the end of the process.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="fitted-steps-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @contextmanager
    def reused(self) -> Iterator[None]:
        """Give every pipeline of pycaret's that has no cache this one, inside the block."""
        from pycaret.internal.memory import get_memory
        from sklearn.utils.validation import check_memory

        ours = get_memory(self._folder)

        def with_cache(memory: Any) -> Any:
            memory = check_memory(memory)
            return ours if memory.location is None else memory

        with patch("pycaret.internal.pipeline.check_memory", with_cache):
            yield
