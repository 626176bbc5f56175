"""The parts of an unfinished run, in a folder beside the output.

Each partition's rejects are written first, then its scores, in files whose names say what they hold. Each is written
whole, so that a partition that has scores is done, and a run that goes on leaves it alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from diabetes_risk_model.scoring.inputs import local_path, opened
from diabetes_risk_model.scoring.partitions import Partition
from signed_parameters import StorageError
from signed_parameters.storage import Storage
from signed_parameters.storage.file import FileStorage

_SCORES, _REJECTS = ".scores", ".rejects"
_NAME = re.compile(r"(\d{15})-(\d{1,15})-(\d{1,15})-(\d{1,15})-(\d{1,15})\.scores", re.ASCII)


@dataclass(frozen=True)
class Part:
    """What became of a partition.

    Attributes:
        first_row: number of its first row.
        scored: how many rows.
        rejected: how many.
        scores_bytes: size of the scores.
        rejects_bytes: size of the rejects; 0 where there are none.
    """

    first_row: int
    scored: int
    rejected: int
    scores_bytes: int
    rejects_bytes: int

    @property
    def name(self) -> str:
        """Name of its files, without the ending."""
        return f"{self.first_row:015d}-{self.scored}-{self.rejected}-{self.scores_bytes}-{self.rejects_bytes}"


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

    def write(self, first_row: int, scores: bytes, rejects: bytes, scored: int, rejected: int) -> Part:
        """Write a part."""
        storage, part = self.storage, Part(first_row, scored, rejected, len(scores), len(rejects))
        if rejects:
            storage.write_bytes(part.name + _REJECTS, rejects, overwrite=True)
        storage.write_bytes(part.name + _SCORES, scores, overwrite=True)
        return part

    def done(self) -> dict[int, Part]:
        """Return the parts that are done, by the number of their first row."""
        storage, done = self.storage, {}
        for name in storage.names(_SCORES):
            match = _NAME.fullmatch(name)
            if match is None:
                raise StorageError(
                    f"{storage.address(name)} has no name of a part",
                    remedy=f"Remove the folder {self.root}, and start again.",
                )
            part = Part(*map(int, match.groups()))
            done[part.first_row] = part
        return done

    def read_scores(self, part: Part, start: int, stop: int) -> bytes:
        """Return a range of the scores' bytes of a part."""
        return self.storage.read_range(part.name + _SCORES, start, stop)

    def scores(self, part: Part, start: int, stop: int, buffer: memoryview) -> Iterator[bytes | memoryview]:
        """Yield a range of the scores' bytes of a part, up to where it ends. Each piece holds only until the next.

        Args:
            part: which.
            start: where to begin, in bytes.
            stop: where to stop, in bytes.
            buffer: through which they pass.
        """
        storage, name = self.storage, part.name + _SCORES
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

    def read_rejects(self, part: Part) -> bytes:
        """Return the rejects of a part."""
        return self.storage.read_range(part.name + _REJECTS, 0, part.rejects_bytes) if part.rejects_bytes else b""

    def local_folder(self) -> Path | None:
        """Make the folder, and return its path; None where it is not on this machine."""
        path = local_path(self.storage, "")
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        return path

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
