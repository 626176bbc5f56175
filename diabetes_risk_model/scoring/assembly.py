"""Puts the output together of its parts. It appears whole or not at all, after the files beside it."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from diabetes_risk_model.scoring.inputs import CSV, kind_of, local_path
from diabetes_risk_model.scoring.outputs import REJECTS, csv_header, parquet_writer, rejects_csv, schema_of
from diabetes_risk_model.scoring.parquet_footers import MAGIC, TAIL_BYTES, Footer
from diabetes_risk_model.scoring.parts import Note, Parts
from signed_parameters import ConfigurationError, NotFound, StorageError
from signed_parameters.files import replacement
from signed_parameters.storage import Storage, locate
from signed_parameters.storage.file import already_there

REJECTS_SUFFIX, METADATA_SUFFIX = ".rejects.csv", ".metadata.json"
_COPIED_BYTES = 4 << 20


def assemble(
    parts: Parts, notes: Mapping[int, Note], metadata: Mapping[str, str], *, explained: bool, overwrite: bool
) -> None:
    """Write the output, its rejects, and beside CSV its metadata.

    Args:
        parts: that are all done.
        notes: of these, by the number of their first row.
        metadata: of the output.
        explained: whether it holds contributions.
        overwrite: whether an output that is there is replaced. The files beside it always are.

    Raises:
        StorageError, ConfigurationError: something cannot be read or written, or there is an output.
    """
    storage, name = locate(parts.output)
    with _written(storage, name + REJECTS_SUFFIX, overwrite=True) as file:
        file.write(rejects_csv([REJECTS]))
        for first_row, note in sorted(notes.items()):
            if note.rejects_bytes:
                file.write(parts.read_rejects(first_row, note.rejects_bytes))
    schema = schema_of(explained, {f"diabetes_risk_model.{key}": value for key, value in metadata.items()})
    if kind_of(name) == CSV:
        content = json.dumps(dict(metadata), indent=2).encode() + b"\n"
        storage.write_bytes(name + METADATA_SUFFIX, content, overwrite=True)
    buffer = memoryview(bytearray(_COPIED_BYTES))
    with _written(storage, name, overwrite=overwrite) as file:
        if kind_of(name) == CSV:
            file.write(csv_header(schema))
            for first_row, note in sorted(notes.items()):
                _copy(parts, first_row, 0, note.scores_bytes, file, buffer)
        else:
            _write_parquet(parts, notes, schema, file, buffer)


def _write_parquet(
    parts: Parts, notes: Mapping[int, Note], schema: pa.Schema, file: IO[bytes], buffer: memoryview
) -> None:
    empty = pa.BufferOutputStream()
    parquet_writer(empty, schema).close()
    content = empty.getvalue().to_pybytes()
    footer = Footer(content[len(MAGIC) : -TAIL_BYTES])
    file.write(MAGIC)
    at = len(MAGIC)
    for first_row, note in sorted(notes.items()):
        size = note.scores_bytes
        tail = parts.read_scores(first_row, size - TAIL_BYTES, size)
        if len(tail) != TAIL_BYTES or not tail.endswith(MAGIC):
            raise _broken(parts, first_row)
        data_end = size - TAIL_BYTES - struct.unpack("<I", tail[: -len(MAGIC)])[0]
        try:
            footer.add(parts.read_scores(first_row, data_end, size - TAIL_BYTES), at - len(MAGIC))
        except (ValueError, StopIteration):
            raise _broken(parts, first_row) from None
        _copy(parts, first_row, len(MAGIC), data_end, file, buffer)
        at += data_end - len(MAGIC)
    file.write(footer.to_bytes())


def _copy(parts: Parts, first_row: int, start: int, stop: int, file: IO[bytes], buffer: memoryview) -> None:
    for data in parts.scores(first_row, start, stop, buffer):
        file.write(data)
        start += len(data)
    if start < stop:
        raise _broken(parts, first_row)


@contextmanager
def _written(storage: Storage, name: str, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all, wherever it is."""
    path = local_path(storage, name)
    if path is not None:
        try:
            with replacement(path, overwrite=overwrite) as file:
                yield file
        except FileExistsError:
            raise already_there(str(path)) from None
        return
    with tempfile.NamedTemporaryFile() as file:
        yield file
        file.flush()
        storage.write(name, Path(file.name), overwrite=overwrite)


def check_output(output: str, *, overwrite: bool) -> None:
    """Raise ConfigurationError where the output cannot be written so, or is there and must not be replaced."""
    if not kind_of(output):
        raise ConfigurationError(f"{output} is no output", expected="an address that ends with .parquet or .csv")
    storage, name = locate(output)
    path = local_path(storage, name)
    if path is not None and not path.parent.is_dir():
        raise ConfigurationError(f"{path.parent} is no folder", remedy="Make the folder of the output first.")
    try:
        storage.find(name)
    except NotFound:
        return
    if not overwrite:
        raise ConfigurationError(
            f"{storage.address(name)} exists already", remedy="Name another output, or add --overwrite."
        )


def _broken(parts: Parts, first_row: int) -> StorageError:
    return StorageError(
        f"the part that begins with row {first_row:,} is not what was written",
        remedy=f"Remove the folder {parts.root}, and start again.",
    )
