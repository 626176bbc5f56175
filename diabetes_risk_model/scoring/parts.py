"""The parts of an unfinished run, in a folder beside the output.

Each partition's rejects are written first, then its scores, then a note that says how many there are. Each is written
whole, so that what has a note is done, and a run that goes on leaves it alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from diabetes_risk_model.scoring.inputs import local_path, opened
from diabetes_risk_model.scoring.partitions import Partition
from signed_parameters import StorageError
from signed_parameters.storage import Storage
from signed_parameters.storage.file import FileStorage

_NOTE, _SCORES, _REJECTS = ".note", ".scores", ".rejects"
_LONGEST_NOTE = 1_000


@dataclass(frozen=True)
class Note:
    """What became of a partition.

    Attributes:
        scored: how many rows.
        rejected: how many.
        scores_bytes: size of the scores.
        rejects_bytes: size of the rejects; 0 where there are none.
    """

    scored: int
    rejected: int
    scores_bytes: int
    rejects_bytes: int


@dataclass(frozen=True)
class Parts:
    """The folder of a run's parts. Runs of other files, packages or options have others.

    Attributes:
        output: address of the output.
        run: what tells runs apart, see `identify`.
    """

    output: str
    run: str

    @property
    def root(self) -> str:
        """Address of the folder that holds the parts of all unfinished runs with this output."""
        folder, _, name = self.output.rpartition("/")
        return f"{folder}/.{name}.unfinished"

    @property
    def storage(self) -> Storage:
        """Where the parts are."""
        return opened(f"{self.root}/{self.run}")

    def write(self, first_row: int, scores: bytes, rejects: bytes, scored: int, rejected: int) -> Note:
        """Write a part."""
        storage, name = self.storage, _name(first_row)
        note = Note(scored, rejected, len(scores), len(rejects))
        if rejects:
            storage.write_bytes(name + _REJECTS, rejects, overwrite=True)
        storage.write_bytes(name + _SCORES, scores, overwrite=True)
        storage.write_bytes(name + _NOTE, json.dumps(asdict(note)).encode(), overwrite=True)
        return note

    def done(self) -> dict[int, Note]:
        """Return the notes of the parts that are done, by the number of their first row."""
        storage, notes = self.storage, {}
        for name in storage.names(_NOTE):
            try:
                note = Note(**json.loads(storage.read(name, _LONGEST_NOTE)))
                notes[int(name.removesuffix(_NOTE))] = note
            except (ValueError, TypeError):
                raise StorageError(
                    f"{storage.address(name)} is no note of a part",
                    remedy=f"Remove the folder {self.root}, and start again.",
                ) from None
        return notes

    def read_scores(self, first_row: int, start: int, stop: int) -> bytes:
        """Return a range of the scores' bytes of a part."""
        return self.storage.read_range(_name(first_row) + _SCORES, start, stop)

    def scores(self, first_row: int, start: int, stop: int, buffer: memoryview) -> Iterator[bytes | memoryview]:
        """Yield a range of the scores' bytes of a part, up to where it ends. Each piece holds only until the next.

        Args:
            first_row: of the part.
            start: where to begin, in bytes.
            stop: where to stop, in bytes.
            buffer: through which they pass.
        """
        storage, name = self.storage, _name(first_row) + _SCORES
        if not isinstance(storage, FileStorage):
            while start < stop and (data := storage.read_range(name, start, min(start + len(buffer), stop))):
                yield data
                start += len(data)
            return
        descriptor = storage.open_in_place(name)
        try:
            while start < stop and (count := os.preadv(descriptor, [buffer[: stop - start]], start)):
                yield buffer[:count]
                start += count
        finally:
            os.close(descriptor)

    def read_rejects(self, first_row: int, size: int) -> bytes:
        """Return the rejects of a part."""
        return self.storage.read_range(_name(first_row) + _REJECTS, 0, size)

    def remove(self) -> None:
        """Remove the parts of all runs with this output."""
        storage = opened(self.root)
        path = local_path(storage, "")
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
            return
        for name in list(storage.names()):
            storage.remove(name)


def identify(partitions: Sequence[Partition], what: Mapping[str, object]) -> str:
    """Return a text that differs for runs whose parts must not be mixed.

    Args:
        partitions: of the run.
        what: else decides what comes out.
    """
    content = json.dumps([[asdict(partition) for partition in partitions], dict(what)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _name(first_row: int) -> str:
    return f"{first_row:015d}"
