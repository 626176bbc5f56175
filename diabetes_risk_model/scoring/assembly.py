"""Puts the output together of its parts. It appears whole or not at all, after the files beside it."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa

from diabetes_risk_model.scoring.inputs import CSV, kind_of, local_path
from diabetes_risk_model.scoring.outputs import REJECTS, csv_header, parquet_writer, rejects_csv, schema_of
from diabetes_risk_model.scoring.parquet_footers import MAGIC, TAIL_BYTES, RowGroups
from diabetes_risk_model.scoring.parts import Part, Parts
from signed_parameters import ConfigurationError, NotFound, StorageError
from signed_parameters.files import PIECE_BYTES, replacement
from signed_parameters.storage import Storage, locate
from signed_parameters.storage.file import already_there

REJECTS_SUFFIX, METADATA_SUFFIX = ".rejects.csv", ".metadata.json"


class Assembly:
    """Puts the output together while parts are still being made: each is taken as soon as those before it were.

    A context in which they are added, up to `finish`, which lets the output appear. After an error, nothing appears.

    Args:
        parts: where they are.
        done: those that are there already, by the number of their first row.
        explained: whether they hold contributions.
        overwrite: whether an output that is there is replaced. The files beside it always are.
    """

    def __init__(self, parts: Parts, done: Mapping[int, Part], *, explained: bool, overwrite: bool) -> None:
        self._parts, self._waiting = parts, dict(done)
        self._explained, self._overwrite = explained, overwrite
        self._buffer = memoryview(bytearray(PIECE_BYTES))
        self._groups = RowGroups()
        self._at = 0
        self.scored = 0
        self.rejected = 0

    def __enter__(self) -> Self:
        storage, name = locate(self._parts.output)
        self._csv = kind_of(name) == CSV
        unfinished = self._parts.local_folder()
        with ExitStack() as opened:
            self._output = opened.enter_context(_written(storage, name, unfinished, overwrite=self._overwrite))
            rejects = _written(storage, name + REJECTS_SUFFIX, unfinished, overwrite=True)
            self._rejects = opened.enter_context(rejects)  # left first, so that it is there before the output
            self._rejects.write(rejects_csv([REJECTS]))
            self._put(csv_header(schema_of(self._explained)) if self._csv else MAGIC)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *problem: Any) -> None:
        self._opened.__exit__(*problem)

    def add(self, part: Part) -> None:
        """Take a part.

        Raises:
            StorageError: it is not what was written, or cannot be read.
        """
        self._waiting[part.first_row] = part
        while (following := self._waiting.pop(self.scored + self.rejected, None)) is not None:
            self._append(following)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write what is left, and let the output appear.

        Args:
            metadata: of the output.

        Raises:
            StorageError: a part is not what was written, or something cannot be read or written.
            ConfigurationError: there is an output.
        """
        for part in sorted(self._waiting.values(), key=lambda part: part.first_row):
            self._append(part)
        if self._csv:
            storage, name = locate(self._parts.output)
            content = json.dumps(dict(metadata), indent=2).encode() + b"\n"
            storage.write_bytes(name + METADATA_SUFFIX, content, overwrite=True)
        else:
            named = {f"diabetes_risk_model.{key}": value for key, value in metadata.items()}
            empty = pa.BufferOutputStream()
            parquet_writer(empty, schema_of(self._explained, named)).close()
            self._put(self._groups.footer(empty.getvalue().to_pybytes()[len(MAGIC) : -TAIL_BYTES]))
        self._opened.close()

    def _append(self, part: Part) -> None:
        rejects = self._parts.read_rejects(part)
        if len(rejects) != part.rejects_bytes:
            raise self._broken(part)
        self._rejects.write(rejects)
        if self._csv:
            self._copy(part, 0, part.scores_bytes)
        else:
            self._copy(part, len(MAGIC), self._read_footer(part))
        self.scored += part.scored
        self.rejected += part.rejected

    def _read_footer(self, part: Part) -> int:
        """Take the row groups of a part's footer. Return where it begins."""
        size = part.scores_bytes
        tail = self._parts.read_scores(part, size - TAIL_BYTES, size)
        if len(tail) != TAIL_BYTES or not tail.endswith(MAGIC):
            raise self._broken(part)
        start: int = size - TAIL_BYTES - struct.unpack("<I", tail[: -len(MAGIC)])[0]
        footer = self._parts.read_scores(part, start, size - TAIL_BYTES)
        try:
            self._groups.add(footer, self._at - len(MAGIC))
        except (ValueError, StopIteration):
            raise self._broken(part) from None
        return start

    def _copy(self, part: Part, start: int, stop: int) -> None:
        for data in self._parts.scores(part, start, stop, self._buffer):
            self._put(data)
            start += len(data)
        if start < stop:
            raise self._broken(part)

    def _put(self, data: bytes | memoryview) -> None:
        self._output.write(data)
        self._at += len(data)

    def _broken(self, part: Part) -> StorageError:
        return StorageError(
            f"the part that begins with row {part.first_row:,} is not what was written",
            remedy=f"Remove the folder {self._parts.root}, and start again.",
        )


@contextmanager
def _written(storage: Storage, name: str, unfinished: Path | None, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all, wherever it is. Until it is whole, it is among the unfinished."""
    path = local_path(storage, name)
    if path is not None:
        try:
            with replacement(path, overwrite=overwrite, folder=unfinished) as file:
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
