"""The check: counts a scored batch, and compares it with the training profile of the verified package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.drift.comparison import Compared, Status, Thresholds, compare, described, worst
from diabetes_risk_model.drift.counting import InputCounts, count_input, count_rejects, count_scores, score_rows
from diabetes_risk_model.drift.training_profile import FILE, Distribution, TrainingProfile
from diabetes_risk_model.prediction.parameters import fetch_parameters
from diabetes_risk_model.prediction.settings import Settings
from diabetes_risk_model.progress import bar, step
from diabetes_risk_model.scoring.inputs import DataFile, find_files, local_path
from diabetes_risk_model.scoring.partitions import count_rows, divide
from signed_parameters import ConfigurationError, NotFound
from signed_parameters.storage import locate
from signed_parameters.times import format_time

NAME = "{name}"
_ENDING = ".html"
_PARTITION_ROWS = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What is to be checked.

    Attributes:
        scores: address of what `score` wrote.
        report: address of the report to write. In it, and in `source`, `{name}` stands for the name of the scores'
            file without its ending.
        source: address of what was scored; without it only the predictions are compared.
        configuration: of the model, as the service's file has it.
        thresholds: what counts as drift.
        last: whether only the last of the scores' files is meant, in the order of their names.
        overwrite: whether a report that is there is replaced.
    """

    scores: str
    report: str
    source: str | None
    configuration: Mapping[str, object]
    thresholds: Thresholds = field(default_factory=Thresholds)
    last: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a check.

    Attributes:
        report: address of the report.
        scores: addresses of the scores.
        source: address of what was scored; empty where that was not given.
        package: what the statement says of the package.
        training_rows: how many rows it was trained on.
        scored: rows of the batch that were scored.
        rejected: rows that did not fit.
        thresholds: what counts as drift.
        columns: the comparisons, those of the predictions last.
        status: the worst of all.
        rejected_status: that of the share of rejected rows.
        checked: when, in UTC.
    """

    report: str
    scores: tuple[str, ...]
    source: str
    package: Mapping[str, str]
    training_rows: int
    scored: int
    rejected: int
    thresholds: Thresholds
    columns: tuple[Compared, ...]
    status: Status
    rejected_status: Status
    checked: str

    @property
    def rejected_share(self) -> float:
        """Share of the batch's rows that were rejected, 0 to 1."""
        return self.rejected / (self.scored + self.rejected)

    def to_json(self) -> str:
        """Return the result as JSON."""
        content = {
            "status": self.status.value,
            "report": self.report,
            "scores": list(self.scores),
            "input": self.source,
            "package": dict(self.package),
            "checked": self.checked,
            "training_rows": self.training_rows,
            "scored_rows": self.scored,
            "rejected_rows": self.rejected,
            "rejected_share": self.rejected_share,
            "rejected_status": self.rejected_status.value,
            "thresholds": asdict(self.thresholds),
            "columns": [described(each) for each in self.columns],
        }
        return json.dumps(content, indent=2)


def check_drift(wanted: Wanted) -> Result:
    """Compare a scored batch with the training profile, and write the report.

    Args:
        wanted: what is to be checked.

    Raises:
        SignedParametersError: the package is refused or has no profile, or something cannot be had, used or written.
        DataError: a file cannot be read, or the scores and the input do not belong together.
    """
    with step("Verify the package") as verifying:
        profile, package = _training_profile(wanted.configuration)
        verifying.note(f"{package['name']}, serial {package['serial']}, {package['package_digest']}")
    with step("Find the batch") as finding:
        files = find_files(wanted.scores)[-1:] if wanted.last else find_files(wanted.scores)
        source, report = (_filled(address, files) for address in (wanted.source or "", wanted.report))
        report = report if "://" in report else str(Path(report).absolute())
        _check_report(report, overwrite=wanted.overwrite)
        scored = score_rows(files, package["package_digest"])
        finding.note(f"{scored:,} scores in {files[-1].address if len(files) == 1 else f'{len(files):,} files'}")
    columns: list[Distribution] = []
    if source:
        counted = _count_input(source, profile, scored)
        columns, rejected = list(counted.distributions), counted.rejected
    else:
        rejected = count_rejects(files)
    if not scored + rejected:
        raise DataError(f"there is no row in the scores at {wanted.scores}: expected one at least. Score a batch.")
    with bar("Count the scores", scored, "rows") as progress:
        columns += count_scores(files, profile, progress)
    compared = tuple(compare(profile[each.name], each, wanted.thresholds) for each in columns)
    many = rejected / (scored + rejected) > wanted.thresholds.rejected
    rejected_status = Status.DRIFT if many else Status.STABLE
    result = Result(
        report=report,
        scores=tuple(file.address for file in files),
        source=source,
        package=package,
        training_rows=profile.rows,
        scored=scored,
        rejected=rejected,
        thresholds=wanted.thresholds,
        columns=compared,
        status=worst([rejected_status, *(each.status for each in compared)]),
        rejected_status=rejected_status,
        checked=format_time(datetime.now(UTC)),
    )
    with step("Write the report"):
        from diabetes_risk_model.drift.report import to_html

        storage, name = locate(report)
        storage.write_bytes(name, to_html(result).encode(), overwrite=wanted.overwrite)
    return result


def _training_profile(configuration: Mapping[str, object]) -> tuple[TrainingProfile, dict[str, str]]:
    with fetch_parameters(Settings.from_keywords(dict(configuration))) as package:
        statement = package.statement
        if FILE not in package.names:
            raise ConfigurationError(
                f"the package has no {FILE}, so there is nothing to compare with",
                expected=f"a package that was trained by this version, with {FILE} signed in it",
                found=f"serial {statement.serial}, with {', '.join(sorted(package.names))}"[:200],
                remedy="Train and package the model again, and score with the new package.",
            )
        profile = TrainingProfile.from_bytes(package.read(FILE))
    return profile, {
        "package_digest": str(statement.package_digest),
        "serial": str(statement.serial),
        "name": statement.name,
        "version": statement.version,
        "parameters_version": statement.parameters_version,
    }


def _filled(address: str, files: list[DataFile]) -> str:
    if NAME not in address:
        return address
    if len(files) > 1:
        raise ConfigurationError(
            f"{NAME} in {address} stands for one file of scores",
            found=f"{len(files):,} files",
            remedy="Name one file, or add --last.",
        )
    return address.replace(NAME, PurePosixPath(files[0].name).stem)


def _check_report(report: str, *, overwrite: bool) -> None:
    if not report.lower().endswith(_ENDING):
        raise ConfigurationError(f"{report} is no report", expected=f"an address that ends with {_ENDING}")
    storage, name = locate(report)
    path = local_path(storage, name)
    if path is not None and not path.parent.is_dir():
        raise ConfigurationError(f"{path.parent} is no folder", remedy="Make the folder of the report first.")
    if overwrite:
        return
    try:
        storage.find(name)
    except NotFound:
        return
    raise ConfigurationError(f"{storage.address(name)} exists already", remedy="Name another, or add --overwrite.")


def _count_input(source: str, profile: TrainingProfile, scored: int) -> InputCounts:
    partitions = divide(find_files(source), _PARTITION_ROWS, lambda parts: list(map(count_rows, parts)))
    with bar("Count the answers", sum(partition.rows for partition in partitions), "rows") as progress:
        counted = count_input(partitions, profile, progress)
    if counted.rows - counted.rejected != scored:
        raise DataError(
            f"the scores are not those of {source}: expected {scored:,} rows that fit, as there are scores; found "
            f"{counted.rows - counted.rejected:,}. Name the input that was scored."
        )
    return counted
