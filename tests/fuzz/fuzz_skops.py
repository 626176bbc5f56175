"""skops files: the scan reads them without importing or making anything, and refuses with an error of ours."""

import io
import json
import random
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from signed_parameters.errors import UnsafePickle
from signed_parameters.formats import skops_files
from tests.fuzz import json_values
from tests.fuzz.harness import Harness

_TREE = "schema.json"
_OBJECTS = ({"a": [1, 2.5, "x", None, True]}, OrderedDict(a=(1, 2)), {"w": np.arange(3.0)}, [np.float64(1.5), {1, 2}])
_ODD: tuple[object, ...] = (None, [], {}, "a.b", 1)


def _with_tree(data: bytes, tree: bytes) -> bytes:
    """Return a skops file with another tree, and the same arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, tree if info.filename == _TREE else old.read(info))
    return stream.getvalue()


def seeds() -> Iterator[bytes]:
    """Yield skops files of small values, and each with a node of other kinds in it."""
    for value in _OBJECTS:
        data = skops_files.dump(value)
        yield data
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tree = json.loads(archive.read(_TREE))
        for loader in ("MethodNode", "OperatorFuncNode", "SparseMatrixNode", "ReduceNode", "PartialNode", "NoSuchNode"):
            yield _with_tree(data, json.dumps({**tree, "__loader__": loader}).encode())
            for odd in _ODD:
                yield _with_tree(data, json.dumps({**tree, "__loader__": loader, "__class__": odd}).encode())


def check(data: bytes) -> None:
    """Scan the bytes, and try to load them with nothing allowed."""
    with suppress(UnsafePickle):
        skops_files.scan(data)
    with suppress(UnsafePickle):
        skops_files.load(data, ())


def mutate(data: bytes, maximum: int, source: random.Random) -> bytes:
    """Return the file with values of its tree changed; or `data`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tree = archive.read(_TREE)
        changed = _with_tree(data, json_values.mutate(tree, maximum, source))
    except Exception:  # it need not be a skops file any more
        return data
    return changed if len(changed) <= maximum else data


HARNESS = Harness(("signed_parameters.formats.skops_files",), seeds, check, mutate)
