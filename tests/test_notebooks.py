"""The tutorial: text and notebook are in step, every chapter runs, its attacks are refused, and nothing is left."""

import copy
import re
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from notebooks.build import (
    MAXIMUM_BYTES,
    RAISES,
    chapters,
    main,
    missing_errors,
    read_notebook,
    read_text,
    run,
    sources,
)

CHAPTERS = chapters()
ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
_SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
# What the attacks of each chapter end with, in their order.
_REFUSALS = {
    "01_the_problem": ["DigestMismatch"],
    "02_the_data": ["InvalidSurveyError"],
    "03_training": ["SelectionError"],
    "04_from_pipeline_to_parameters": ["UnsafePickle"],
    "05_signing": ["BadSignature", "AttributeError", "BadSignature"],
    "06_packages_in_a_bucket": ["ConfigurationError", "ConfigurationError"],
    "07_verifying_and_attacks": [
        "DigestMismatch",
        "DigestMismatch",
        "UnknownKey",
        "BadSignature",
        "RolledBack",
        "NameMismatch",
        "NotFound",
        "UnsafePickle",
        "UnsafePickle",
    ],
    "08_the_model_class": ["RolledBack", "ValidationError"],
    "09_serving": ["DigestMismatch"],
    "10_the_container": ["ConfigurationError"],
    "11_minikube": ["RolledBack"],
    "12_keys_in_production": ["RevokedKey", "TooFewSignatures", "RolledBack"],
    "13_in_your_own_project": ["DigestMismatch"],
    "14_from_registry_to_deployment": ["TooFewSignatures"],
    "15_beyond_one_machine": ["DigestMismatch"],
}
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def _built(chapter: Path) -> NotebookNode:
    return read_notebook(chapter.with_suffix(".ipynb"))


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _errors(cells: list[NotebookNode]) -> list[str]:
    return [output.ename for cell in cells for output in cell.outputs if output.output_type == "error"]


def _printed(cell: NotebookNode) -> str:
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts += output.traceback
        else:
            parts += [str(value) for kind, value in output.data.items() if kind.startswith("text/")]
    return "\n".join(parts)


def _solution(chapter: Path) -> str:
    found = _SOLUTION.findall(chapter.read_text())
    assert len(found) == 1, "a chapter has one exercise, with one folded solution in Python"
    return found[0]


def _processes_of(folder: Path) -> list[psutil.Process]:
    """The processes whose temporary folder is this one, or that name it in their command."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("TMPDIR", "")]
        except psutil.Error:
            continue
        if any(str(folder) in word for word in words):
            found.append(process)
    return found


@every_chapter
def test_text_and_notebook_are_in_step(chapter: Path) -> None:
    assert sources(_built(chapter)) == sources(read_text(chapter))


@every_chapter
def test_it_runs_with_its_solution_and_leaves_nothing(chapter: Path, tmp_path: Path) -> None:
    notebook = read_text(chapter)
    clean_up = notebook.cells.pop()
    notebook.cells.append(nbformat.v4.new_code_cell(_solution(chapter)))
    notebook.cells.append(clean_up)
    notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
    before = sorted(FOLDER.rglob("*"))
    run(notebook, {"TMPDIR": str(tmp_path)})
    assert missing_errors(notebook) == []
    assert _errors(_code(notebook)) == _REFUSALS[chapter.stem]
    assert Path(_printed(notebook.cells[-1]).strip()) == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []
    assert _processes_of(tmp_path) == []
    assert sorted(FOLDER.rglob("*")) == before


@every_chapter
def test_a_run_that_breaks_off_leaves_nothing(chapter: Path, tmp_path: Path) -> None:
    notebook = read_text(chapter)
    notebook.cells[-1] = nbformat.v4.new_code_cell("raise RuntimeError('broken off')")
    with pytest.raises(CellExecutionError, match="broken off"):
        run(notebook, {"TMPDIR": str(tmp_path)})
    assert _processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@every_chapter
def test_the_committed_outputs_are_of_one_run_in_order(chapter: Path) -> None:
    cells = _code(_built(chapter))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(set(cell.metadata) <= {"tags"} for cell in cells)
    assert chapter.with_suffix(".ipynb").stat().st_size <= MAXIMUM_BYTES


@every_chapter
def test_the_committed_outputs_name_no_place_and_no_time(chapter: Path) -> None:
    text = "\n".join(_printed(cell) for cell in _code(_built(chapter)))
    for forbidden in (r"(?<![\w:/.])/(tmp|home|root|work|usr|var|private|Users)\b", r"[A-Z]:\\", r"\d{2}:\d{2}:\d{2}"):
        assert not re.search(forbidden, text), re.search(forbidden, text)
    assert str(ROOT) not in text
    assert not re.search(r"127\.0\.0\.1:\d+", text)


@every_chapter
def test_only_attacks_raise_and_each_names_its_error(chapter: Path) -> None:
    cells = _code(_built(chapter))
    attacks = [cell for cell in cells if RAISES in cell.metadata.get("tags", ())]
    assert attacks, "a chapter has an attack that fails"
    assert _errors(cells) == _errors(attacks) == _REFUSALS[chapter.stem]
    for cell, name in zip(attacks, _REFUSALS[chapter.stem], strict=True):
        assert f"{name}: " in _printed(cell)
        assert "Traceback" not in _printed(cell)
        assert not any("attacker" in output.get("text", "") for output in cell.outputs), "its code ran"


@every_chapter
def test_it_has_the_parts_of_a_chapter(chapter: Path) -> None:
    text = chapter.read_text()
    for part in ("**You will do**", "**You will learn**", "**You need**", "> **", "**Notice.**", "## Exercise"):
        assert part in text, part
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[-3:] == ["Exercise", "Recap", "Clean up"]
    assert "**Next:**" in text
    assert text.startswith("---\njupytext:")
    assert re.search(rf"^# {int(chapter.stem[:2])}\. ", text, re.MULTILINE)


@every_chapter
def test_its_cells_are_short_and_its_links_lead_somewhere(chapter: Path) -> None:
    notebook = read_text(chapter)
    for cell in _code(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 11, cell.source
    for link in _LINK.findall(chapter.read_text()):
        assert link.startswith("https://") or (chapter.parent / link).exists(), link


def test_the_check_finds_a_notebook_out_of_step_and_an_attack_that_succeeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = CHAPTERS[0].read_text().partition("\n# ")[0]
    text = tmp_path / "01_short.md"
    text.write_text(header + "\n```{code-cell} ipython3\n:tags: [raises-exception]\n\nprint('no error')\n```\n")
    monkeypatch.setattr("notebooks.build.FOLDER", tmp_path)
    assert main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "01_short.ipynb is not in step with 01_short.md" in said
    assert "expected an error, found none, in the cell: print('no error')" in said
    assert main([]) == 1
    assert not text.with_suffix(".ipynb").exists()
    text.write_text(header + "\n```{code-cell} ipython3\nprint('one')\nprint('two')\n```\n")
    assert main([]) == 0
    assert main(["--check", "01_short"]) == 0
    built = _built(text)
    changed = copy.deepcopy(built)
    changed.cells[0].source = "print('three')"
    assert sources(changed) != sources(built)
    assert [output.text for output in built.cells[0].outputs] == ["one\ntwo\n"]


def test_the_readme_lists_every_chapter() -> None:
    listed = re.findall(r"\]\((\d\d_\w+)\.ipynb\)", (FOLDER / "README.md").read_text())
    assert listed == [chapter.stem for chapter in CHAPTERS]
