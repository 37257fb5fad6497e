"""Reads a card as its readers see it, without metadata and comments, and with its pictures apart.

A card may come from anyone, so every function here takes time in proportion to the card's length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = "---\n"
COMMENT, COMMENT_END = "<!--", "-->"
_PICTURE = re.compile(r"!\[([^\[\]\n]*)\]\(([\w-]+(?:/[\w-]+)*\.png)\)")
"""No part of this pattern matches the beginning of another picture, so a search looks at each character once."""
_INTERVAL = re.compile(r"\((\d\.\d+)-(\d\.\d+)\)")


@dataclass(frozen=True)
class Picture:
    """Holds a picture of a card: its text, and the path that it links to."""

    text: str
    path: str


def body(card: str) -> str:
    """Return a card without its metadata and its comments."""
    return _without_comments(_without_metadata(card))


def unbroken(text: str) -> str:
    """Return a card in which each interval, such as (0.790-0.834), and each "KL >= 2" stays on one line."""
    text = _INTERVAL.sub("(\\1\N{NON-BREAKING HYPHEN}\\2)", text)
    return text.replace("KL >= 2", "KL\N{NO-BREAK SPACE}>=\N{NO-BREAK SPACE}2")


def _without_metadata(card: str) -> str:
    if not card.startswith(FENCE):
        return card
    _, closed, rest = card[len(FENCE) - 1 :].partition("\n" + FENCE)
    return rest if closed else card


def _without_comments(text: str) -> str:
    """Remove the comments. A comment that is never closed stays as text."""
    kept, at = [], 0
    while (start := text.find(COMMENT, at)) >= 0 and (end := text.find(COMMENT_END, start + len(COMMENT))) >= 0:
        kept.append(text[at:start])
        at = end + len(COMMENT_END)
    return "".join([*kept, text[at:]])


def pictures_apart(text: str) -> Iterator[str | Picture]:
    """Yield a card's text in order, with each PNG of the bundle as a `Picture`."""
    at = 0
    for match in _PICTURE.finditer(text):
        yield text[at : match.start()]
        yield Picture(match[1], match[2])
        at = match.end()
    yield text[at:]
