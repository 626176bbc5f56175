"""What a worker does: scores a partition, and writes its part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.scoring.csv_lines import Block
from diabetes_risk_model.scoring.inputs import kind_of
from diabetes_risk_model.scoring.lookup import Located
from diabetes_risk_model.scoring.model import Model, WantedModel, wanted_model
from diabetes_risk_model.scoring.outputs import PartWriter, rejects_csv
from diabetes_risk_model.scoring.partitions import Partition, read_rows
from diabetes_risk_model.scoring.parts import Part, Parts


@dataclass(frozen=True)
class Task:
    """What is the same for every partition of a run.

    Attributes:
        model: to score with.
        parts: where to write.
    """

    model: WantedModel
    parts: Parts


def score_partition(task: Task, partition: Partition) -> Part:
    """Score a partition and write its part. To do so twice changes nothing.

    Raises:
        SignedParametersError: the package is refused, or something cannot be had or written.
        DataError: the file cannot be read, or was changed.
    """
    model = wanted_model(task.model)
    lookup = model.lookup(partition.forms)
    writer = PartWriter(kind_of(PurePosixPath(task.parts.output).name), task.model.explained)
    rejects: list[bytes] = []
    rejected, at = 0, 0
    for block in read_rows(partition):
        located = lookup.locate(block.columns)
        wrong = _write(writer, model, located, block, partition.first_row + at)
        rejected += wrong
        if wrong:
            rejects.append(rejects_csv(_rejects(located, block, partition, at)))
        at += block.rows
    if at != partition.rows:
        raise DataError(
            f"{partition.file.address} was changed while it was being scored: expected {partition.rows:,} rows in a "
            f"part of it; found {at:,}. Start again."
        )
    return task.parts.write(partition.first_row, bytes(writer.finish()), b"".join(rejects), at - rejected, rejected)


def describe_model(wanted: WantedModel) -> dict[str, str]:
    """Return what the output says of the model."""
    return wanted_model(wanted).metadata


def _write(writer: PartWriter, model: Model, located: Located, block: Block, first_row: int) -> int:
    """Write the rows that fit. Return how many do not."""
    rows, places = np.arange(first_row, first_row + block.rows), located.places
    fits = None if located.wrong is None else ~located.wrong
    if block.broken:
        fits = np.ones(block.rows, np.bool_) if fits is None else fits
        fits[list(block.broken)] = False
    if fits is not None:
        rows, places = rows[fits], places[fits]
    explanation = model.explanation
    contributions = None if explanation is None else explanation.contributions[places]
    writer.write(rows, np.frombuffer(model.table.cells, np.float64)[places], contributions)
    return block.rows - len(rows)


def _rejects(located: Located, block: Block, partition: Partition, at: int) -> list[tuple[object, ...]]:
    problems = [(problem.row, problem.column, problem.message) for problem in located.problems]
    problems += [(row, "", message) for row, message in block.broken.items()]
    file = partition.file.address
    return [
        (partition.first_row + at + row, file, partition.first_in_file + at + row, column, message)
        for row, column, message in sorted(problems, key=lambda problem: problem[0])
    ]
