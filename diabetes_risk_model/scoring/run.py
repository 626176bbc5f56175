"""A run: find and divide the files, score what is not scored yet, and put the output together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diabetes_risk_model import __version__
from diabetes_risk_model.progress import bar, step
from diabetes_risk_model.scoring.assembly import REJECTS_SUFFIX, Assembly, check_output
from diabetes_risk_model.scoring.inputs import DataFile, find_files, kind_of
from diabetes_risk_model.scoring.model import WantedModel, load_model
from diabetes_risk_model.scoring.outputs import schema_of
from diabetes_risk_model.scoring.partitions import Partition, count_rows, divide
from diabetes_risk_model.scoring.parts import Part, Parts, identify
from diabetes_risk_model.scoring.task import Task, describe_model, score_partition
from diabetes_risk_model.scoring.workers import Workers
from signed_parameters import ConfigurationError

PARTITION_ROWS = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What is to be scored, and how.

    Attributes:
        source: address of the input.
        output: address of the output.
        configuration: of the model, see `WantedModel`.
        partition_rows: about how many rows are scored at once.
        explained: whether the contributions of each row are written.
        overwrite: whether an output that is there is replaced.
    """

    source: str
    output: str
    configuration: Mapping[str, object]
    partition_rows: int = PARTITION_ROWS
    explained: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What came of a run.

    Attributes:
        scored: how many rows.
        rejected: how many.
        rejects: address of the file that says why.
    """

    scored: int
    rejected: int
    rejects: str


def score(wanted: Wanted, workers: AbstractContextManager[Workers]) -> Summary:
    """Score files.

    Args:
        wanted: which, and how.
        workers: that score. They are entered when the package has been verified and the files have been found.

    Raises:
        SignedParametersError: the package is refused, or something cannot be had, used or written.
        DataError: a file cannot be read, or lacks a column.
    """
    output = wanted.output if "://" in wanted.output else str(Path(wanted.output).absolute())
    check_output(output, overwrite=wanted.overwrite)
    with step("Verify the package") as verifying:
        metadata = load_model(wanted.configuration, explained=False).metadata
        verifying.note(f"{metadata['name']}, serial {metadata['serial']}, {metadata['package_digest']}")
    with step("Find what is to be scored") as finding:
        files = find_files(wanted.source)
        if output in {file.address for file in files}:
            raise ConfigurationError(
                f"{output} is among what is to be scored", remedy="Name another output: the input would be lost."
            )
        finding.note(f"{len(files):,} file{'s' if len(files) > 1 else ''}")
    with workers as entered:
        model = WantedModel(wanted.configuration, metadata["package_digest"], __version__, wanted.explained)
        parts, partitions, done = _begin(entered, wanted, output, files, metadata)
        with Assembly(parts, done, explained=wanted.explained, overwrite=wanted.overwrite) as assembly:
            _score(entered, Task(model, parts), [each for each in partitions if each.first_row not in done], assembly)
            if wanted.explained:
                ((_, described),) = entered.each(describe_model, [model])
                metadata |= described
            with step("Write the output"):
                assembly.finish(metadata)
                parts.remove()
    return Summary(assembly.scored, assembly.rejected, output + REJECTS_SUFFIX)


def _begin(
    workers: Workers, wanted: Wanted, output: str, files: Sequence[DataFile], metadata: Mapping[str, str]
) -> tuple[Parts, list[Partition], dict[int, Part]]:
    """Divide the files. Return the partitions, and what is known of those that are done."""
    with step("Divide it") as dividing:

        def count(divided: Sequence[Partition]) -> list[int]:
            return [rows for _, rows in sorted(workers.each(count_rows, divided))]

        partitions = divide(files, wanted.partition_rows, count)
        rows = sum(partition.rows for partition in partitions)
        what = {"package": metadata, "kind": kind_of(output), "explained": wanted.explained, "version": __version__}
        what["columns"] = str(schema_of(wanted.explained))
        parts = Parts(output, identify(partitions, what))
        starts = {partition.first_row for partition in partitions}
        done = {first_row: part for first_row, part in parts.done().items() if first_row in starts}
        before = f", {len(done):,} of them done before" if done else ""
        dividing.note(f"{rows:,} rows in {len(partitions):,} partition{'s' * (len(partitions) != 1)}{before}")
    return parts, partitions, done


def _score(workers: Workers, task: Task, partitions: Sequence[Partition], assembly: Assembly) -> None:
    """Score partitions, and add what comes of each to the output."""
    with bar("Score", sum(partition.rows for partition in partitions), "rows") as progress:
        for place, part in workers.each(partial(score_partition, task), partitions):
            assembly.add(part)
            progress.advance(partitions[place].rows)
