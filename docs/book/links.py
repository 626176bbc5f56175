"""Links to text files that are no pages get a page that shows the file; links to a folder lead to its first page.

Without a page in it, the folder's name stays what it is: words.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

_LANGUAGES = {".py": "python", ".json": "json", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".in": "text"}


class ShownFile(nodes.Inline, nodes.TextElement):  # type: ignore[misc]
    """A link to a file of the repository that a page of the book will show."""


class FileLinks(SphinxTransform):
    """Finds, while a page is read, its links to files and folders."""

    default_priority = 500  # before Sphinx copies what it takes for downloads

    def apply(self, **_: Any) -> None:
        """Change the document in place."""
        for link in list(self.document.findall(addnodes.download_reference)):
            path, absolute = self.env.relfn2path(link["reftarget"], self.env.docname)
            if not _is_text(Path(absolute)):
                continue
            _shown(self.env).setdefault(path, set()).add(self.env.docname)
            self.env.note_dependency(path)
            link.replace_self(ShownFile("", "", *link.children, path=path))
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("reftype") == "myst" and not link.get("refdomain"):
                self._follow_folder(link)

    def _follow_folder(self, link: addnodes.pending_xref) -> None:
        path, absolute = self.env.relfn2path(link["reftarget"], self.env.docname)
        if not Path(absolute).is_dir():
            return
        pages = sorted(page for page in self.env.found_docs if PurePosixPath(page).is_relative_to(path))
        if pages:
            link["refdomain"], link["reftarget"] = "doc", pages[0]
            link["reftargetid"] = None
        else:
            link.replace_self(link.children)


class FileReferences(SphinxPostTransform):
    """Points these links at the pages of the files."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        """Change the document in place."""
        for link in list(self.document.findall(ShownFile)):
            content = nodes.inline("", "", *link.children)
            link.replace_self(make_refnode(self.app.builder, self.env.docname, _page(link["path"]), "", content))


def _shown(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return each file that is shown, and the pages that link to it."""
    if not hasattr(env, "shown_files"):
        env.shown_files = {}  # type: ignore[attr-defined]
    files: dict[str, set[str]] = env.shown_files  # type: ignore[attr-defined]
    return files


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _page(path: str) -> str:
    return f"files/{path}"


def _forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    for path, pages in list(_shown(env).items()):
        pages.discard(page)
        if not pages:
            del _shown(env)[path]


def _file_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    builder = app.builder
    if not isinstance(builder, StandaloneHTMLBuilder):
        return
    for path in sorted(_shown(app.env)):
        text = (app.srcdir / path).read_text(encoding="utf-8")
        language = _LANGUAGES.get(PurePosixPath(path).suffix, "text")
        shown = builder.highlighter.highlight_block(text, language, location=path, linenos=False)
        yield _page(path), {"title": path, "body": f"<h1><code>{escape(path)}</code></h1>{shown}"}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both steps, and the pages that they lead to."""
    app.add_node(ShownFile)
    app.add_transform(FileLinks)
    app.add_post_transform(FileReferences)
    app.connect("env-purge-doc", _forget)
    app.connect("html-collect-pages", _file_pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
