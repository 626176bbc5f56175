"""One harness under atheris, in a process of its own: `python -m tests.fuzz.drive HARNESS [OPTIONS OF LIBFUZZER]`.

HARNESS is the name of a module that has a `HARNESS`. To run one saved input again, name its file instead of options.
"""

import importlib
import mmap
import random
import sys
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.harness import Harness

NO_ATHERIS = 3
LAST = "last_input"
_INSTRUMENTED = ("signed_parameters", "pickletools", "zipfile", "json", "yaml", "pickle")
_SHARE_OF_STRUCTURE = 0.7
_SIZE_BYTES = 8
_PREFIX = "-artifact_prefix="


def last_input(path: Path) -> bytes:
    """Return the last input that a process tried which wrote to this file: where it crashed, nobody else saved it."""
    data = path.read_bytes()
    return data[_SIZE_BYTES:][: int.from_bytes(data[:_SIZE_BYTES], "little")]


def _remembering(check: Callable[[bytes], None], path: Path, maximum: int) -> Callable[[bytes], None]:
    path.write_bytes(bytes(_SIZE_BYTES + maximum))
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)

    def remember(data: bytes) -> None:
        memory[:_SIZE_BYTES] = len(data).to_bytes(_SIZE_BYTES, "little")
        memory[_SIZE_BYTES : _SIZE_BYTES + len(data)] = data
        check(data)

    return remember


def drive(module: str, options: list[str]) -> int:
    """Fuzz until libFuzzer's options say that it is enough; libFuzzer ends the process, with a status of its own."""
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError as error:
        print(f"atheris cannot run here: {error}. It is in the extra `development`.", file=sys.stderr)
        return NO_ATHERIS
    elsewhere = [] if module.startswith("tests.") else [module.partition(".")[0]]
    # The loaders of extension modules are left alone: blake3 and cryptography have nothing to instrument.
    with atheris.instrument_imports(include=[*_INSTRUMENTED, *elsewhere], enable_loader_override=False):
        harness: Harness = importlib.import_module(module).HARNESS
        for late in ("pickletools", *harness.modules):  # what is imported at its first use is not instrumented then
            importlib.import_module(late)
    change, check = harness.mutate, harness.check
    for option in options:
        if option.startswith(_PREFIX):
            check = _remembering(check, Path(option.removeprefix(_PREFIX) + LAST), harness.maximum)
    arguments = [module, f"-max_len={harness.maximum}", *options]
    if change is None:
        atheris.Setup(arguments, check)
    else:

        def mutate(data: bytes, maximum: int, seed: int) -> bytes:
            source = random.Random(seed)
            changed = change(data, maximum, source) if source.random() < _SHARE_OF_STRUCTURE else data
            return bytes(atheris.Mutate(data, maximum)) if changed == data else changed

        atheris.Setup(arguments, check, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(drive(sys.argv[1], sys.argv[2:]))
