"""A bundle's model card as HTML."""

import re
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
TABLE_OPEN, TABLE_CLOSE = '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n', "</div>\n"


def card_html(folder: Path, figures: str) -> str | None:
    """README.md of the bundle in `folder`, without its front matter; None when it has none.

    figures: address under which the bundle's figures are served. Raw HTML in the card is shown as text, since
    the manifest does not vouch for the card.
    """
    try:
        text = (folder / "README.md").read_text("utf-8")
    except OSError:
        return None
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(COMMENT.sub("", FRONT_MATTER.sub("", text)))
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                _serve_from(child, figures)
    html = parser.renderer.render(tokens, parser.options, {})
    return html.replace("<table>", TABLE_OPEN + "<table>").replace("</table>", "</table>" + TABLE_CLOSE)


def _serve_from(image: Token, figures: str) -> None:
    source = str(image.attrs["src"])
    if source.startswith("figures/"):
        image.attrSet("src", figures + source.removeprefix("figures/"))
