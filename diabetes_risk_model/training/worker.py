"""What runs on a Dask worker: say which code it has, keep what is sent once, fit and score one fold.

A worker takes one fold at a time, because pycaret switches a flag of the whole process while it scores one. What it has
fitted stays in a folder of its own until the run ends, so that it fits nothing twice either.
"""

from __future__ import annotations

import io
import pickle
import threading
import uuid
import zlib
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from diabetes_risk_model.training.libraries import library_versions
from diabetes_risk_model.training.profile import profile_survey
from diabetes_risk_model.training.quiet import import_pycaret, quiet
from diabetes_risk_model.training.reuse import FittedSteps

NOT_INSTALLED = "not installed"
_ALSO = ("cloudpickle", "joblib", "scipy")


@dataclass(frozen=True)
class Process:
    """A process that fits.

    Attributes:
        name: of this process and of no other.
        versions: of the libraries, and a digest of the code of training.
    """

    name: str
    versions: dict[str, str]


@dataclass
class _State:
    """What a worker keeps between folds."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    fitted: dict[str, FittedSteps] = field(default_factory=dict)


_state = _State()


def process() -> Process:
    """Import pycaret, which takes some seconds, and say what this process is made of."""
    with _state.one_at_a_time:
        import_pycaret()
    return Process(_state.name, versions())


@cache
def versions() -> dict[str, str]:
    """Return the version of each library that a score depends on, and the digest of this package's code."""
    try:
        found = {**library_versions(), **{name: version(name) for name in _ALSO}}
    except PackageNotFoundError as error:
        found = {str(error.name): NOT_INSTALLED}
    files = sorted(Path(__file__).parent.glob("*.py"))
    code = sha256(b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in files))
    return {**found, "the code of training": code.hexdigest()[:16]}


@cache
def fingerprint() -> str:
    """Return a digest of the versions."""
    return sha256(repr(versions()).encode()).hexdigest()


class Different(Exception):
    """A worker that joined later has other versions than the training asks for. It says which."""


def pack(value: object) -> bytes:
    """Pickle and compress a table: the survey's few values take an eighth of their size, or less."""
    return zlib.compress(pickle.dumps(value, protocol=5), 1)


def unpack(content: bytes) -> Any:
    """Return what was packed. The result stays on the worker, for every fold that asks for it."""
    return pickle.loads(zlib.decompress(content))


def run(training: str, expected: str, call: bytes, names: tuple[str, ...], *values: object) -> tuple[str, Any]:
    """Make a call of joblib's, which is one fold or some, and return the worker's address and what came of it.

    Args:
        training: which run it belongs to; another one's fitted steps are forgotten.
        expected: fingerprint of the versions that score alike.
        call: pickled, with a name in place of each table.
        names: of the tables.
        values: the tables, in this order.

    Raises:
        Different: this worker has other versions.
    """
    from distributed import get_worker
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if fingerprint() != expected:
        raise Different(versions())

    with _state.one_at_a_time:
        import_pycaret()  # before its classes are unpickled, which would open its log file
        if training not in _state.fitted:
            _state.fitted.clear()
            _state.fitted[training] = FittedSteps()
        unpickler = _Unpickler(io.BytesIO(call), dict(zip(names, values, strict=True)))
        with quiet(), threadpool_limits(1), _state.fitted[training].reused():
            return get_worker().address, unpickler.load()()


def report(survey: bytes, rows: int, seed: int) -> bytes:
    """Draw the report on a survey that was packed, see `profile_survey`, and return it."""
    with _state.one_at_a_time, TemporaryDirectory() as folder:
        path = Path(folder) / "profile.html"
        profile_survey(unpack(survey), path, rows=rows, seed=seed)
        return path.read_bytes()


def forget(training: str) -> None:
    """Forget what was fitted for a run."""
    _state.fitted.pop(training, None)


class _Unpickler(pickle.Unpickler):
    """Puts the tables into a pickled call."""

    def __init__(self, file: io.BytesIO, tables: dict[str, object]) -> None:
        super().__init__(file)
        self._tables = tables

    def persistent_load(self, name: Any) -> Any:
        return self._tables[name]
