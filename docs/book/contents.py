"""The order of the pages: the tutorial, then guides and reference, then the decisions. Found by pattern."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from sphinx.application import Sphinx

_DECISIONS = "docs/decisions/"
_TUTORIAL = "notebooks/"


def _title(path: Path) -> str:
    """Return the first heading of a text, up to its colon: in a list of pages there is no room for more."""
    found = re.search(r"^# ([^:\n]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise ValueError(f"Expected a heading that begins with '# ' in {path.name}, found none.")
    return found[1].replace("`", "").strip()


def _entry(app: Sphinx, page: str) -> tuple[str, str]:
    # A chapter's text stands beside its notebook.
    return _title(app.srcdir / f"{page}.md"), page


def _list(caption: str, entries: Iterable[tuple[str, str]]) -> str:
    lines = "\n".join(f"{title} </{page}>" for title, page in entries)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


def _add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    if page != app.config.root_doc:
        return
    pages = sorted(app.env.found_docs - {page})
    chapters = [name for name in pages if name.startswith(_TUTORIAL) and name[len(_TUTORIAL)].isdigit()]
    decisions = [name for name in pages if name.startswith(_DECISIONS)]
    others = sorted(_entry(app, name) for name in set(pages) - {*chapters, *decisions, f"{_TUTORIAL}README"})
    source[0] += (
        _list("The tutorial", (_entry(app, name) for name in [f"{_TUTORIAL}README", *chapters]))
        + _list("Guides and reference", others)
        + _list("Decisions", (_entry(app, name) for name in decisions))
    )


def _outdated(app: Sphinx, *_: object) -> list[str]:
    """Let the front page be read each time: another page may be new, or gone."""
    return [app.config.root_doc]


def _front_page(app: Sphinx, error: Exception | None) -> None:
    """Let a browser that is given the folder find the front page."""
    if error is None:
        shutil.copy(app.outdir / f"{app.config.root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the list of pages to the front page as it is read, so that the README itself has none."""
    app.connect("env-get-outdated", _outdated)
    app.connect("source-read", _add_contents)
    app.connect("build-finished", _front_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
