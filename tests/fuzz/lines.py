"""Which lines of a harness's modules a corpus reaches: `python -m tests.fuzz.lines HARNESS CORPUS` prints it as JSON.

It runs without atheris, so every input is also checked by the code as it is.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType

from tests.fuzz.harness import Harness


def lines_of(path: str) -> set[int]:
    """Return the lines of a module's functions that can be run; what runs at import is not counted."""
    found: set[int] = set()
    waiting = [(compile(Path(path).read_text(), path, "exec"), False)]
    while waiting:
        code, counts = waiting.pop()
        if counts:
            found.update(line for _, _, line in code.co_lines() if line and line != code.co_firstlineno)
        inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        waiting.extend((each, bool(each.co_flags & inspect.CO_OPTIMIZED)) for each in inner)
    return found


def reached(harness: Harness, inputs: Iterable[bytes]) -> dict[str, tuple[int, int]]:
    """Return for each module of the harness how many lines the inputs reach, and how many there are."""
    paths = {str(importlib.import_module(name).__file__): name for name in harness.modules}
    seen: dict[str, set[int]] = {path: set() for path in paths}

    def trace(frame: FrameType, event: str, argument: object) -> object:
        lines = seen.get(frame.f_code.co_filename)
        if lines is None:
            return None
        lines.add(frame.f_lineno)
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        for data in inputs:
            harness.check(data)
    finally:
        sys.settrace(None)
    known = {path: lines_of(path) for path in paths}
    return {paths[path]: (len(seen[path] & known[path]), len(known[path])) for path in paths}


if __name__ == "__main__":
    _harness: Harness = importlib.import_module(sys.argv[1]).HARNESS
    print(json.dumps(reached(_harness, (path.read_bytes() for path in sorted(Path(sys.argv[2]).iterdir())))))
