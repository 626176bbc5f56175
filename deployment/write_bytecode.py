"""Write the bytecode of all that some modules import: `python3 write_bytecode.py [--tree FOLDER ...] MODULE...`.

A container whose root cannot be written would compile each module at each start. What is imported, of the standard
library too, is compiled once, into the folder that PYTHONPYCACHEPREFIX names. The bytecode is bound to the source by
its hash, because the times of files do not survive every way of building an image.
"""

import argparse
import importlib
import py_compile
import sys
from pathlib import Path


def imported(modules: list[str]) -> list[Path]:
    """Import modules and return the sources of all that is imported then.

    Raises:
        ImportError: one cannot be imported.
    """
    for module in modules:
        importlib.import_module(module)
    files = {getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if name != "__main__"}
    return sorted(Path(file) for file in files if file and file.endswith(".py"))


def write(sources: list[Path]) -> int:
    """Compile sources, and return how many there are.

    Raises:
        py_compile.PyCompileError: one cannot be compiled.
    """
    for source in sources:
        py_compile.compile(str(source), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return len(sources)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, action="append", default=[], help="compile all of it besides")
    parser.add_argument("modules", nargs="+")
    options = parser.parse_args()
    if sys.pycache_prefix is None:
        parser.error("expected PYTHONPYCACHEPREFIX to name a folder, found it unset")
    sys.dont_write_bytecode = True  # what the imports would write is bound to times
    trees = {source for tree in options.tree for source in tree.rglob("*.py")}
    print(f"wrote the bytecode of {write(sorted(trees | set(imported(options.modules))))} modules")
