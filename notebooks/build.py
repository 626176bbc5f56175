"""Build the notebooks of the tutorial from their text, by running them; or check that both are in step, and run.

Each chapter is a pair. `NN_name.md` is the source, in MyST form. `NN_name.ipynb` is the same with the outputs of
one run in order, from a new kernel of this very interpreter.

    python notebooks/build.py                  build every chapter
    python notebooks/build.py 05_signing       build one
    python notebooks/build.py --check          change nothing; say what is out of step, and what does not run
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import jupytext  # type: ignore[import-untyped]
import nbformat
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
RAISES = "raises-exception"
MAXIMUM_BYTES = 100_000
_CELL_SECONDS = 300
_END_SECONDS = 120.0
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": NATIVE_KERNEL_NAME}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def chapters() -> list[Path]:
    """Return the texts of all chapters, in their order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.md"))


def read_text(path: Path) -> NotebookNode:
    """Return a chapter's text as a notebook without outputs, whose cells have ids that no run changes."""
    notebook: NotebookNode = jupytext.read(path)
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{number:03}"
    notebook["metadata"] = {
        "jupytext": {"formats": "ipynb,md:myst"},
        "kernelspec": _KERNEL,
        "language_info": {"name": "python"},
    }
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    return notebook


def read_notebook(path: Path) -> NotebookNode:
    """Return a built notebook, with its outputs."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def sources(notebook: NotebookNode) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return what a text and its notebook must have in common: kind, source and tags of each cell, in order."""
    return [(cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ()))) for cell in notebook.cells]


def run(notebook: NotebookNode, environment: Mapping[str, str] | None = None) -> NotebookNode:
    """Run a notebook in place, in the folder of the chapters, and return it with tidy outputs.

    Args:
        notebook: as `read_text` returns it.
        environment: variables for the kernel, over those of this process.

    Raises:
        CellExecutionError: a cell without the tag `raises-exception` raised.
        CellTimeoutError: a cell took more than 300 seconds.
        DeadKernelError: the kernel ended.
    """
    # The kernel reads no start-up file and no history of the user's, and plots go where a notebook shows them.
    with tempfile.TemporaryDirectory(prefix="notebooks-") as profile:
        inherited = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        variables = inherited | {"IPYTHONDIR": profile} | dict(environment or {})
        resources = {"metadata": {"path": str(FOLDER)}}
        client = _Client(notebook, timeout=_CELL_SECONDS, record_timing=False, resources=resources)
        client.execute(env=variables)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            _tidy(cell)
    notebook["metadata"]["language_info"] = {"name": "python"}
    return notebook


class _Client(NotebookClient):
    """Runs the kernel of this interpreter, whatever kernels the machine has under the same name.

    The kernel has time to remove its temporary files when it ends: it would be stopped after 2.5 seconds otherwise.
    """

    def create_kernel_manager(self) -> AsyncKernelManager:
        specifications = KernelSpecManager(kernel_dirs=[])
        self.km = AsyncKernelManager(
            kernel_name=NATIVE_KERNEL_NAME,
            kernel_spec_manager=specifications,
            transport_encryption="auto",
            shutdown_wait_time=_END_SECONDS,
        )
        return self.km


def _tidy(cell: NotebookNode) -> None:
    """Join the pieces of printed text, and take the colours out of errors."""
    outputs: list[NotebookNode] = []
    for output in cell.outputs:
        output.pop("transient", None)
        if output.output_type == "error":
            output["traceback"] = [_COLOUR.sub("", line).rstrip() for line in output.traceback]
        last = outputs[-1] if outputs else None
        if last is not None and output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text
        else:
            outputs.append(output)
    cell["outputs"] = outputs
    cell["metadata"].pop("execution", None)


def missing_errors(notebook: NotebookNode) -> list[str]:
    """Return the first lines of the cells that are tagged `raises-exception` and raised nothing."""
    tagged = (cell for cell in notebook.cells if RAISES in cell.metadata.get("tags", ()))
    return [
        cell.source.partition("\n")[0]
        for cell in tagged
        if not any(output.output_type == "error" for output in cell.outputs)
    ]


def problems(text: Path) -> list[str]:
    """Return what is wrong with a chapter: text and notebook out of step, or a run that does not go as it must."""
    found = []
    built = text.with_suffix(".ipynb")
    notebook = read_text(text)
    if not built.exists() or sources(read_notebook(built)) != sources(notebook):
        found.append(f"{built.name} is not in step with {text.name}. Run: python notebooks/build.py {text.stem}")
    try:
        run(notebook)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return [*found, f"{text.name} does not run: {error}"]
    return found + [
        f"{text.name}: expected an error, found none, in the cell: {line}" for line in missing_errors(notebook)
    ]


def build(text: Path) -> int:
    """Run a chapter and write its notebook, or leave the old one where the run fails; return its size in bytes."""
    notebook = run(read_text(text))
    if silent := missing_errors(notebook):
        raise ValueError(f"{text.name}: expected an error, found none, in the cell: {silent[0]}")
    written: str = nbformat.writes(notebook) + "\n"  # type: ignore[no-untyped-call]
    if len(written.encode()) > MAXIMUM_BYTES:
        raise ValueError(f"{text.name}: expected at most {MAXIMUM_BYTES} bytes, found {len(written.encode())}")
    return text.with_suffix(".ipynb").write_text(written, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check the chapters that are named, or all; return the exit status."""
    known = {path.stem: path for path in chapters()}
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, and say what is wrong")
    parser.add_argument("chapter", nargs="*", choices=[[], *known], help="such as 05_signing (default: all)")
    options = parser.parse_args(arguments)
    status = 0
    for name in options.chapter or known:
        try:
            found = problems(known[name]) if options.check else []
            done = "in step, and runs" if options.check else f"built, {build(known[name]):,} bytes"
        except (CellExecutionError, CellTimeoutError, DeadKernelError, ValueError) as error:
            found = [str(error)]
        print("\n".join(found) if found else f"{name}: {done}", flush=True)
        status = 1 if found else status
    return status


if __name__ == "__main__":
    sys.exit(main())
