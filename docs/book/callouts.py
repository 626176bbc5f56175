"""Block quotes that begin with a bold word become callouts, as in "> **Notice.** Look here."."""

import re
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_KINDS = {"Remember": "important", "Warning": "warning", "Tip": "tip"}
_WORD = re.compile(r"(\w+)\.")


class Callouts(SphinxTransform):
    """Replaces such block quotes; all others stay as they are."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Change the document in place."""
        for quote in list(self.document.findall(nodes.block_quote)):
            if word := _first_word(quote):
                quote.replace_self(_callout(quote, word))


def _first_word(quote: nodes.block_quote) -> str | None:
    paragraph = quote[0]
    if not isinstance(paragraph, nodes.paragraph):
        return None
    opening = _opening(paragraph)
    found = _WORD.fullmatch(opening.astext()) if isinstance(opening, nodes.strong) else None
    return found[1] if found else None


def _opening(paragraph: nodes.Node) -> nodes.Node:
    """Return the first thing of a paragraph; before bold words there is an empty text."""
    return next((child for child in paragraph.children if child.astext()), paragraph)


def _callout(quote: nodes.block_quote, word: str) -> nodes.admonition:
    paragraph = quote[0]
    opening = _opening(paragraph)
    rest = paragraph.children[paragraph.children.index(opening) + 1 :]
    if rest and isinstance(rest[0], nodes.Text):
        rest[0] = nodes.Text(rest[0].lstrip())
    callout = nodes.admonition(classes=["admonition", _KINDS.get(word, "note")])
    callout += [nodes.title("", word), nodes.paragraph("", "", *rest), *quote.children[1:]]
    return callout


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(Callouts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
