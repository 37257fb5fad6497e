"""Renders the model card of a bundle as HTML."""

import threading
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from kneeoa_hub.bundle import Bundle
from kneeoa_hub.card.reading import body, unbroken
from kneeoa_hub.manifest import MOST_CARD

TABLE_OPEN, TABLE_CLOSE = '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n', "</div>\n"


_RENDERING = threading.Lock()


def card_html(bundle: Bundle, figures: str) -> str | None:
    """Return the card of a bundle without its front matter, or None if the bundle has no card.

    A card may come from anyone, so it is rendered once for all requests, and raw HTML in it is shown as text: the
    manifest does not cover it.

    Args:
        bundle: The bundle.
        figures: The address under which the app serves the figures of the bundle.
    """
    with _RENDERING:  # otherwise each request that comes meanwhile would render it too
        return _rendered(bundle.folder, bundle.digest, figures)


@lru_cache(maxsize=2)
def _rendered(folder: Path, _digest: str, figures: str) -> str | None:
    try:
        text = (folder / "README.md").read_bytes()[:MOST_CARD].decode("utf-8", "replace")
    except OSError:
        return None
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(unbroken(body(text)))
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
