"""What the documents say exists: tests that are named, files that are linked to, pages with their sections."""

import ast
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

import signed_parameters as sp
from signed_parameters.cli import main

ROOT = Path(__file__).parents[1]
THREATS = ROOT / "docs" / "threat_model.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [
    path
    for path in [
        ROOT / "README.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "kubernetes" / "README.md",
        ROOT / "notebooks" / "README.md",
        *ROOT.glob("docs/**/*.md"),
    ]
    if path.exists()
]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", document.read_text())):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            assert path.startswith("https://"), link
            continue
        target = document.parent / unquote(path) if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert target.resolve().is_relative_to(ROOT), f"{document.name} links out of the repository: {link}"
        if anchor:
            assert anchor in _anchors(target), f"{document.name} links to {link}"


def _rows() -> list[list[str]]:
    table = THREATS.read_text().partition("## Attacks")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| attack |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_attack_has_its_test() -> None:
    for row in _rows():
        assert len(row) == 5, row
        named = _TEST.fullmatch(row[4])
        assert named, f"no test for: {row[0]}"
        tree = ast.parse((ROOT / named[1]).read_text())
        assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row[4]


def test_every_error_of_the_tables_exists_and_each_refusal_is_in_both() -> None:
    refusals = {error.__name__ for error in sp.VerificationError.__subclasses__()}
    steps = (ROOT / "docs" / "format.md").read_text().partition("## 7. Verification")[2]
    attacks = " ".join(row[3] for row in _rows())
    for text in (steps, attacks):
        named = set(re.findall(r"`([A-Z][A-Za-z]*[a-z])`", text))
        assert [name for name in named if not hasattr(sp, name)] == []
        assert refusals - named <= ({"UnsafePickle"} if text is steps else set())


def test_every_attack_test_file_is_in_the_table() -> None:
    named = {match[1] for row in _rows() if (match := _TEST.fullmatch(row[4]))}
    attacks = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/signed_parameters/attacks").glob("test_*.py")
    }
    assert attacks <= named


def test_commands_that_are_named_exist() -> None:
    for document in DOCUMENTS:
        for command in re.findall(r"`signed-parameters (\w+)", document.read_text()):
            assert command in main.commands, f"{document.name} names {command}"


def test_decisions_are_numbered_short_and_of_one_form() -> None:
    assert [path.name[:5] for path in DECISIONS] == [f"{number:04}-" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name
        assert text.count("\n") < 50, path.name
