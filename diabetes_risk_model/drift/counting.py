"""Counts a scored batch, in the bins of the training profile. One piece of a file is in memory at a time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from diabetes_risk_model.data.errors import DataError
from diabetes_risk_model.drift.training_profile import PROBABILITY, RISK, Distribution, TrainingProfile, distribution
from diabetes_risk_model.prediction.engines import INPUT_COLUMNS
from diabetes_risk_model.prediction.schemas import DiabetesRisk
from diabetes_risk_model.prediction.table import Axis
from diabetes_risk_model.progress import Bar
from diabetes_risk_model.scoring.assembly import REJECTS_SUFFIX
from diabetes_risk_model.scoring.columns import Form
from diabetes_risk_model.scoring.csv_lines import Block
from diabetes_risk_model.scoring.encoding import ColumnEncoder
from diabetes_risk_model.scoring.inputs import PARQUET, DataFile, RangeReader
from diabetes_risk_model.scoring.partitions import Partition, read_rows
from signed_parameters import ConfigurationError

_BATCH_ROWS = 1 << 17
_PIECE_BYTES = 4 << 20
_METADATA = b"diabetes_risk_model."
_RISKS = (DiabetesRisk.NO_DIABETES.value, DiabetesRisk.DIABETES.value)
_KINDS = {RISK: pa.string(), PROBABILITY: pa.float64()}

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class InputCounts:
    """What a batch's input holds.

    Attributes:
        rows: how many.
        rejected: of these, how many do not fit.
        distributions: of the answers in those that fit.
    """

    rows: int
    rejected: int
    distributions: tuple[Distribution, ...]


def score_rows(files: Sequence[DataFile], digest: str) -> int:
    """Return how many rows were scored, and check that these are scores of a package.

    Args:
        files: that `score` wrote.
        digest: of the package.

    Raises:
        DataError: a file is not what `score` writes.
        ConfigurationError: it was written with another package.
    """
    rows = 0
    for file in files:
        with _opened(file) as opened:
            metadata = opened.schema_arrow.metadata or {}
            found = metadata.get(_METADATA + b"package_digest", b"").decode(errors="replace")
            rows += opened.metadata.num_rows
        if found != digest:
            raise ConfigurationError(
                f"{file.address} was scored with another package than the one whose training profile is asked for",
                expected=digest,
                found=found or "no package's digest",
                remedy="Name the configuration that the rows were scored with, or score them anew.",
            )
    return rows


def count_scores(files: Sequence[DataFile], profile: TrainingProfile, progress: Bar) -> list[Distribution]:
    """Count the predicted classes and the probabilities.

    Raises:
        DataError: a file is not what `score` writes.
    """
    cuts = np.array(profile[PROBABILITY].cuts)
    classes, bins = np.zeros(len(_RISKS), np.int64), np.zeros(len(cuts) + 1, np.int64)
    for file in files:
        with _opened(file) as opened:
            try:
                for batch in opened.iter_batches(_BATCH_ROWS, columns=[*_KINDS], use_threads=False):
                    probabilities = batch.column(PROBABILITY).to_numpy(zero_copy_only=False)
                    if not ((probabilities >= 0) & (probabilities <= 1)).all():
                        raise _no_scores(file, "what is no probability")
                    bins += np.bincount(np.searchsorted(cuts, probabilities, side="right"), minlength=len(bins))
                    classes += _classes(file, batch.column(RISK))
                    progress.advance(batch.num_rows)
            except (pa.ArrowException, OSError) as error:
                raise _no_scores(file, str(error).partition("\n")[0][:200]) from None
    return [distribution(RISK, (0.5,), classes.tolist()), distribution(PROBABILITY, cuts.tolist(), bins.tolist())]


def _classes(file: DataFile, column: pa.Array) -> Counts:
    counts = np.zeros(len(_RISKS), np.int64)
    for each in pc.value_counts(column).to_pylist():
        if each["values"] not in _RISKS:
            raise _no_scores(file, "an unknown risk")
        counts[_RISKS.index(each["values"])] += each["counts"]
    return counts


def _opened(file: DataFile) -> pq.ParquetFile:
    if file.kind != PARQUET:
        raise _no_scores(file, "a file of another kind")
    file.check()
    try:
        opened = pq.ParquetFile(pa.PythonFile(RangeReader(file), "r"), read_dictionary=[RISK], pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _no_scores(file, str(error).partition("\n")[0][:200]) from None
    schema = opened.schema_arrow
    for name, kind in _KINDS.items():
        place = schema.get_field_index(name)
        found = schema.field(place).type if place >= 0 else None
        if found is not None and pa.types.is_dictionary(found):
            found = found.value_type
        if found != kind:
            opened.close()
            raise _no_scores(file, f"no column {name} of the type {kind}")
    return opened


def count_input(partitions: Iterable[Partition], profile: TrainingProfile, progress: Bar) -> InputCounts:
    """Count the answers of a batch's input.

    Raises:
        DataError: a file cannot be read, or was changed.
    """
    training = [profile[name] for name in INPUT_COLUMNS]
    totals = [np.zeros(len(each.counts) + 1, np.int64) for each in training]
    rows = rejected = 0
    encoders: dict[tuple[Form, ...], list[ColumnEncoder]] = {}
    for partition in partitions:
        if partition.forms not in encoders:
            encoders[partition.forms] = list(map(_encoder, training, partition.forms))
        for block in read_rows(partition):
            fits = _count(block, encoders[partition.forms], totals)
            rows, rejected = rows + block.rows, rejected + block.rows - fits
            progress.advance(block.rows)
    distributions = tuple(
        distribution(each.name, each.cuts, total[:-1].tolist(), total[-1])
        for each, total in zip(training, totals, strict=True)
    )
    return InputCounts(rows, rejected, distributions)


def _encoder(training: Distribution, form: Form) -> ColumnEncoder:
    """Return what finds the bins of a column; a missing answer has one of its own, behind the others."""
    return ColumnEncoder(Axis(training.name, (*training.cuts, math.inf), math.inf), 1, form)


def _count(block: Block, encoders: Sequence[ColumnEncoder], totals: Sequence[Counts]) -> int:
    """Add the rows of a block that fit to the totals. Return how many they are."""
    encoded = [encoder.encode(block.columns[encoder.form.column]) for encoder in encoders]
    fits = np.ones(block.rows, np.bool_)
    fits[list(block.broken)] = False
    for each in encoded:
        if each.wrong is not None:
            fits &= ~each.wrong
    for each, total in zip(encoded, totals, strict=True):
        total += np.bincount(each.places if fits.all() else each.places[fits], minlength=len(total))
    return int(fits.sum())


def count_rejects(files: Iterable[DataFile]) -> int:
    """Return how many rows the rejects' files beside the scores name.

    Raises:
        StorageError: there is none, or it cannot be read.
        DataError: it is not what `score` writes.
    """
    return sum(map(_rejected, files))


def _rejected(file: DataFile) -> int:
    name = file.name + REJECTS_SUFFIX
    found = file.storage.find(name)
    rejects = DataFile(file.folder, name, found.size, found.state)
    count, last = 0, ""
    lines = csv.reader(_lines(rejects))
    try:
        next(lines, None)  # the header
        for row in lines:
            # They are in the order of their rows, one for each answer that does not fit.
            if row and row[0] != last:
                count, last = count + 1, row[0]
    except (csv.Error, UnicodeDecodeError):
        raise _no_scores(rejects, "what is no CSV") from None
    return count


def _lines(file: DataFile) -> Iterator[str]:
    rest = b""
    for position in range(0, file.size, _PIECE_BYTES):
        *lines, rest = (rest + file.storage.read_range(file.name, position, position + _PIECE_BYTES)).split(b"\n")
        yield from (f"{line.decode()}\n" for line in lines)
    yield rest.decode()


def _no_scores(file: DataFile, found: str) -> DataError:
    return DataError(
        f"{file.address} is not what `diabetes-risk-model score` writes: expected scores as Parquet; found {found}. "
        "Score the batch into a file that ends with .parquet."
    )
