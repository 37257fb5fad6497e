"""Texts of others, such as the names of films, made harmless for a spreadsheet and for a terminal."""

FORMULA_SIGNS = frozenset("=+-@＝＋－＠")
"""First characters of what a spreadsheet computes, also as wide as a Chinese character."""


def cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before it where it could.

    Spreadsheets skip blanks, control characters and a byte order mark before a formula. Apostrophes that were there are
    counted too, so that `from_cell` gives every text back.
    """
    seen = (letter for letter in text.lstrip("'") if letter.isprintable() and not letter.isspace())
    return f"'{text}" if next(seen, "") in FORMULA_SIGNS else text


def from_cell(text: str) -> str:
    """Return the text that `cell` has made harmless."""
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text


def on_terminal(text: str) -> str:
    """Return a text as one line that does nothing to a terminal: control characters are written as their codes.

    A byte of a name that is not UTF-8 stays, since a terminal does nothing at it.
    """
    kept = (letter.isprintable() or "\udc80" <= letter <= "\udcff" for letter in text)
    return "".join(letter if keep else ascii(letter)[1:-1] for letter, keep in zip(text, kept, strict=True))
