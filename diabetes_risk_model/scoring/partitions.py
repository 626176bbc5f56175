"""Divides the files into partitions, each of which is scored at once, and numbers their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from diabetes_risk_model.scoring import csv_lines, parquet_files
from diabetes_risk_model.scoring.columns import Form, find_forms
from diabetes_risk_model.scoring.csv_lines import Block
from diabetes_risk_model.scoring.inputs import CSV, DataFile


@dataclass(frozen=True)
class Partition:
    """Some rows of a file.

    Attributes:
        file: that holds them.
        forms: of the columns with the four answers.
        header: names of all columns of a CSV file; empty for Parquet.
        start: the first row group, or the byte of a CSV file where the first line may begin.
        stop: the end of these.
        rows: how many; 0 for those of a CSV file as long as they are not counted.
        first_row: number of the first, in all files.
        first_in_file: its number in this file.
    """

    file: DataFile
    forms: tuple[Form, ...]
    header: tuple[str, ...]
    start: int
    stop: int
    rows: int
    first_row: int = 0
    first_in_file: int = 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns with the four answers."""
        return [form.column for form in self.forms]


Count = Callable[[Sequence[Partition]], Iterable[int]]


def divide(files: Sequence[DataFile], rows: int, count: Count) -> list[Partition]:
    """Divide files into partitions.

    Args:
        files: of one kind.
        rows: about how many a partition shall have. A Parquet row group is never divided.
        count: tells how many rows partitions of CSV files have.

    Raises:
        DataError: a file cannot be read, or lacks a column.
    """
    divided = [part for file in files for part in (_lines(file, rows) if file.kind == CSV else _groups(file, rows))]
    counts: Iterable[int] = (part.rows for part in divided)
    if files[0].kind == CSV:
        counts = count(divided)
    return list(_numbered(divided, counts))


def count_rows(partition: Partition) -> int:
    """Count the rows of a partition of a CSV file."""
    return csv_lines.count_lines(partition.file, partition.start, partition.stop)


def read_rows(partition: Partition) -> Iterator[Block]:
    """Yield the rows of a partition, in order.

    Raises:
        DataError: the file cannot be read, or was changed.
    """
    partition.file.check()
    start, stop = partition.start, partition.stop
    if partition.file.kind == CSV:
        yield from csv_lines.read_blocks(partition.file, partition.header, partition.columns, start, stop)
    else:
        for columns in parquet_files.read_columns(partition.file, partition.columns, start, stop):
            yield Block(len(next(iter(columns.values()))), columns, {})
    partition.file.check()


def _groups(file: DataFile, rows: int) -> Iterator[Partition]:
    forms, groups = parquet_files.find_columns(file)
    first, total = 0, 0
    for number, group_rows in enumerate(groups):
        if total and total + group_rows > rows:
            yield Partition(file, forms, (), first, number, total)
            first, total = number, 0
        total += group_rows
    if total:
        yield Partition(file, forms, (), first, len(groups), total)


def _lines(file: DataFile, rows: int) -> Iterator[Partition]:
    header = csv_lines.read_header(file)
    forms = find_forms(header.columns, file.address)
    step = max(1, round(rows * header.row_bytes))
    for start in range(header.size, file.size, step):
        yield Partition(file, forms, header.columns, start, min(start + step, file.size), 0)


def _numbered(partitions: Iterable[Partition], counts: Iterable[int]) -> Iterator[Partition]:
    row, row_in_file, file = 0, 0, None
    for partition, rows in zip(partitions, counts, strict=True):
        if partition.file != file:
            file, row_in_file = partition.file, 0
        if rows:
            yield replace(partition, rows=rows, first_row=row, first_in_file=row_in_file)
        row, row_in_file = row + rows, row_in_file + rows
