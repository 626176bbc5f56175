"""Review: what a version is, and what each stage would make of it, before anybody signs. Changes nothing.

All that is told comes out of the verified package, its envelope and Git. What the registry says of the model is not
shown: whoever can write there could say anything.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diabetes_risk_model.promotion import packages
from diabetes_risk_model.promotion.packages import Checked
from diabetes_risk_model.promotion.record import Record
from diabetes_risk_model.promotion.refusals import explained
from diabetes_risk_model.promotion.registry import ModelVersion, Registry
from diabetes_risk_model.promotion.repository import Repository
from diabetes_risk_model.promotion.settings import PromotionSettings
from diabetes_risk_model.promotion.stages import StageFiles
from signed_parameters import (
    ConfigurationError,
    SignedParametersError,
    Statement,
    TrustPolicy,
    VerificationError,
    extract_package,
    verify_package,
)
from signed_parameters.checks import check_signatures
from signed_parameters.envelope import Envelope
from signed_parameters.times import format_time
from signed_parameters.verification import find_trusted

_METRICS = "metrics.json"
_NAME = re.compile(r"[A-Za-z0-9. _-]{1,40}")  # of a score; others could steer the terminal
_LOOKED_AT = (".json", ".md", ".png")  # a page could run scripts, and a model is not for people


@dataclass(frozen=True)
class StageView:
    """What a stage would make of a version.

    Attributes:
        stage: its name.
        deployed: what it has; None where it has nothing.
        threshold: how many signatures it asks for.
        key_ids: ids of the keys that have signed the version and that it trusts.
        refusal: why the watcher would not promote the version now; None if it would.
    """

    stage: str
    deployed: Record | None
    threshold: int
    key_ids: tuple[str, ...]
    refusal: SignedParametersError | None


@dataclass(frozen=True)
class Review:
    """What a version is.

    Attributes:
        address: of its package.
        statement: what the signers say of it.
        scores: metric -> value on the rows that training held out, as signed; empty where the package has none.
        stages: what each would make of it.
    """

    address: str
    statement: Statement
    scores: Mapping[str, float]
    stages: tuple[StageView, ...]


def review(
    settings: PromotionSettings, registry: Registry, repository: Repository, number: str, out: Path | None = None
) -> Review:
    """Verify a version's package by the keys of one stage at least, and look at it with the eyes of every stage.

    Args:
        settings: say what is where.
        registry: has the version.
        repository: has the policies, and what is deployed.
        number: of the version.
        out: where the model card, the plots and the figures go; nowhere if None.

    Raises:
        VerificationError: no stage's keys have signed it, its tags lie, or it was changed.
        StorageError: something could not be had.
        ConfigurationError: a policy is not usable, or `out` holds other files.
    """
    version, commit = registry.version(number), repository.fetch()
    stages = [StageFiles(repository.git, commit, settings, name) for name in settings.stages]
    with packages.private_folder() as folder:
        checked, policy = _fetch(version, settings.packages, stages, folder)
        with verify_package(checked.file, policy) as package:
            scores = _scores(package.read(_METRICS)) if _METRICS in package.names else {}
            views = tuple(_view(stage, checked, package.envelope, number) for stage in stages)
        if out is not None:
            _extract(checked, policy, out)
    address = f"{settings.packages}/{packages.package_name(version, settings.packages)}"
    return Review(address, checked.statement, scores, views)


def _fetch(version: ModelVersion, location: str, stages: list[StageFiles], folder: Path) -> tuple[Checked, TrustPolicy]:
    """Verify a package by the first policy whose keys have signed it, whatever else that asks for."""
    refusals: list[VerificationError] = []
    for stage in stages:
        policy = replace(stage.policy.demands, threshold=1, minimum_serial=0)
        place = folder / stage.name
        place.mkdir()
        try:
            return packages.fetch(version, location, policy, place), policy
        except VerificationError as error:
            refusals.append(error)
    raise refusals[0]


def _extract(checked: Checked, policy: TrustPolicy, out: Path) -> None:
    names = [file.name for file in checked.statement.files if file.name.endswith(_LOOKED_AT)]
    if not names:
        raise ConfigurationError(
            f"{checked.file.name} holds nothing that people look at",
            expected=f"files that end with {', '.join(_LOOKED_AT)}",
            remedy="Leave out --out.",
        )
    extract_package(checked.file, out, policy, files={name: name for name in names})


def _view(stage: StageFiles, checked: Checked, envelope: Envelope, number: str) -> StageView:
    policy, refusal = stage.demanded(stage.inputs), None
    try:
        key_ids = check_signatures(envelope, replace(policy, threshold=1), datetime.now(UTC))
    except VerificationError:
        key_ids = ()
    try:
        find_trusted(checked.file, policy)
        stage.check_order(checked.statement)
    except VerificationError as error:
        refusal = explained(error, stage.name, number)
    return StageView(stage.name, stage.record, policy.threshold, key_ids, refusal)


def _scores(data: bytes) -> dict[str, float]:
    """Return the scores on the held-out rows out of a package's metrics; none where these are something else."""
    try:
        held_out: Any = json.loads(data)["held_out"]
        numbers = {name: float(value) for name, value in held_out.items() if isinstance(value, int | float)}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    return {name: value for name, value in numbers.items() if _NAME.fullmatch(name) and math.isfinite(value)}


def tell(number: str, found: Review) -> list[str]:
    """Return what was found, for a reader, and what comes next."""
    statement = found.statement
    lines = [
        f"version {number}: {statement.parameters_version}, serial {statement.serial}, "
        f"signed {format_time(statement.created)}",
        f"package {statement.package_digest}, {statement.package_size:,} bytes, {found.address}",
    ]
    if found.scores:
        lines.append(f"held-out scores: {', '.join(f'{name} {value:.4f}' for name, value in found.scores.items())}")
    for view in found.stages:
        has = "nothing" if view.deployed is None else view.deployed.said().removeprefix("deployed: ")
        signed = f"{len(view.key_ids)} of {view.threshold} signatures"
        by = f", by {', '.join(view.key_ids)}" if view.key_ids else ""
        lines.append(f"{view.stage} has {has}. This version has {signed}{by}.")
        if view.refusal is not None:
            lines.append(f"  refused now: {type(view.refusal).__name__}: {view.refusal}")
    approve = f"promote approve {number} --alias STAGE --digest {statement.package_digest}"
    return [*lines, f"next: diabetes-risk-model {approve}"]


def describe(found: Review) -> Mapping[str, object]:
    """Return what was found, as JSON has it."""
    statement = found.statement
    return {
        "package": found.address,
        "parameters_version": statement.parameters_version,
        "serial": statement.serial,
        "created": format_time(statement.created),
        "digest": str(statement.package_digest),
        "size": statement.package_size,
        "held_out": dict(found.scores),
        "stages": [
            {
                "stage": view.stage,
                "deployed_serial": None if view.deployed is None else view.deployed.serial,
                "deployed_digest": None if view.deployed is None else view.deployed.digest,
                "threshold": view.threshold,
                "signed_by": list(view.key_ids),
                "refusal": None if view.refusal is None else f"{type(view.refusal).__name__}: {view.refusal}",
            }
            for view in found.stages
        ],
    }
