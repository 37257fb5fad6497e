"""Renders the model card of a bundle as HTML."""

from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from kneeoa_hub.card.reading import body

TABLE_OPEN, TABLE_CLOSE = '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n', "</div>\n"


def card_html(folder: Path, figures: str) -> str | None:
    """Return the card of the bundle in `folder` without its front matter, or None when the bundle has no card.

    Raw HTML in the card is shown as text, since the manifest does not cover the card.

    Args:
        folder: The bundle.
        figures: The address under which the app serves the figures of the bundle.
    """
    try:
        text = (folder / "README.md").read_text("utf-8")
    except OSError:
        return None
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(body(text))
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
