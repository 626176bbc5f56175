"""The package's model in a process that scores: fetched, verified and loaded once, and then kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from diabetes_risk_model import __version__
from diabetes_risk_model.prediction import table
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS, load_engine
from diabetes_risk_model.prediction.parameters import fetch_parameters
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.prediction.table import Table
from diabetes_risk_model.scoring.columns import Form
from diabetes_risk_model.scoring.explanation import Explanation, explain
from diabetes_risk_model.scoring.lookup import Lookup
from signed_parameters import ConfigurationError, DigestMismatch

PICKLE = "model.pkl"


@dataclass(frozen=True)
class WantedModel:
    """Which model a process has to score with.

    Attributes:
        configuration: of the model, as the service's file has it: `${NAME}` is filled in by each process for itself,
            so that no secret is sent.
        digest: of the package that the run began with.
        version: of the code.
        explained: whether rows are explained.
    """

    configuration: Mapping[str, object]
    digest: str
    version: str
    explained: bool


@dataclass(frozen=True)
class Model:
    """A verified model.

    Attributes:
        metadata: what the scores say of it.
        table: its answers.
        explanation: of these, where that was asked for.
    """

    metadata: dict[str, str]
    table: Table
    explanation: Explanation | None
    _lookups: dict[tuple[Form, ...], Lookup] = field(default_factory=dict, repr=False)

    def lookup(self, forms: tuple[Form, ...]) -> Lookup:
        """Return what looks up rows whose columns have these forms."""
        if forms not in self._lookups:
            self._lookups[forms] = Lookup(self.table, forms)
        return self._lookups[forms]


def load_model(configuration: Mapping[str, object], *, explained: bool) -> Model:
    """Fetch, verify and load the package.

    Raises:
        SignedParametersError: the configuration is not usable, or the package cannot be had, is refused, or lacks what
            is needed.
    """
    with fetch_parameters(Settings.from_keywords(dict(configuration))) as package:
        load_engine(package, "table")  # which says what is missing, or for other columns
        answers = Table.from_bytes(package.read(table.FILE), INPUT_COLUMNS)
        statement = package.statement
        if explained and PICKLE not in package.names:
            raise ConfigurationError(
                f"explanations need {PICKLE}, which the package does not hold", remedy="Leave --explain away."
            )
        explanation = explain(answers, package.load_pickle(PICKLE)) if explained else None
    metadata = {
        "package_digest": str(statement.package_digest),
        "serial": str(statement.serial),
        "name": statement.name,
        "version": statement.version,
        "parameters_version": statement.parameters_version,
    }
    if explanation is not None:
        metadata["base_of_contributions"] = repr(explanation.base)
    return Model(metadata, answers, explanation)


_lock = threading.Lock()
_loaded: dict[tuple[str, bool], Model] = {}


def wanted_model(wanted: WantedModel) -> Model:
    """Return the model that is wanted; what has been verified in this process is not fetched again.

    Raises:
        DigestMismatch: the package is another one by now.
        SignedParametersError: as `load_model`.
    """
    if wanted.version != __version__:
        raise ConfigurationError(
            "a worker runs another version of the code", expected=wanted.version, found=__version__
        )
    with _lock:
        key = wanted.digest, wanted.explained
        if key not in _loaded:
            model = load_model(wanted.configuration, explained=wanted.explained)
            found = model.metadata["package_digest"]
            if found != wanted.digest:
                raise DigestMismatch(
                    "the package was exchanged while rows were being scored",
                    expected=wanted.digest,
                    found=found,
                    remedy="Start again, so that all rows are scored with the same parameters.",
                )
            _loaded[key] = model
        return _loaded[key]
