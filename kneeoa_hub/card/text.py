"""Writes the tables, numbers and lists of the card."""

import re
from collections.abc import Iterable, Sequence

from ..evidence import Estimate
from ..sources import title

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NO_ESTIMATE = "-"
_PARTS_CELLS = re.compile(r"(?<!\\)\||[\r\n]+")
"""A bar that is not escaped, or a line's end, would end a cell of a table."""
_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; an estimate is written with its interval."""
    lines = [_line(headings), "|" + "---|" * len(headings)]
    return "\n".join([*lines, *(_line(list(map(_cell, row))) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if value is None or isinstance(value, Estimate):
        return figure(value)
    return _PARTS_CELLS.sub(lambda found: {"|": "\\|"}.get(found[0], " "), str(value))


def figure(estimate: Estimate | None, digits: int = 3) -> str:
    """Return an estimate with its 95% interval, such as 0.812 (0.790-0.834), or a dash for no estimate."""
    return f"{estimate:.{digits}f}" if estimate else NO_ESTIMATE


def escaped(text: str) -> str:
    """Return a name from outside, such as that of a dataset, so that Markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def label(name: str) -> str:
    """Return the name of a set of films in words, for Markdown."""
    return escaped(title(name))


def listed(names: Sequence[str]) -> str:
    """Return names as words: "a, b and c"."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def times(count: int) -> str:
    """Return a count in words: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def one_in(proportion: float) -> str:
    """Return a proportion as people count, such as "about one in four", or in per cent if no such words are near."""
    if proportion < 0.01:
        return "fewer than one in a hundred"
    if proportion > 0.3:
        return f"{proportion:.0%}"
    count = round(1 / proportion)
    return f"about one in {NUMBERS[count - 2] if count < len(NUMBERS) + 2 else count}"


def section(heading: str, *paragraphs: str) -> str:
    """Return a section, or nothing if no paragraph has a text."""
    found = [one for one in paragraphs if one]
    return "\n\n".join([heading, *found]) if found else ""
