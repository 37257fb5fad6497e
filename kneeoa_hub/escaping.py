"""Escapes texts from outside, such as the names of films, for spreadsheets and terminals."""

import argparse
from typing import NoReturn

FORMULA_SIGNS = frozenset("=+-@＝＋－＠")
"""A spreadsheet reads a text that begins with one of these as a formula. The full-width forms count too."""


def escape_cell(text: str) -> str:
    """Return a text that no spreadsheet reads as a formula. A text that looks like one gets an apostrophe in front.

    Spreadsheets skip blanks, control characters and a byte order mark before a formula. A text that already begins with
    apostrophes gets one more before a formula, so that `unescape_cell` returns every text unchanged.
    """
    seen = (letter for letter in text.lstrip("'") if letter.isprintable() and not letter.isspace())
    return f"'{text}" if next(seen, "") in FORMULA_SIGNS else text


def unescape_cell(text: str) -> str:
    """Return the original of a text that `escape_cell` returned."""
    return text[1:] if text.startswith("'") and escape_cell(text[1:]) == text else text


def escape_for_terminal(text: str) -> str:
    """Return a text as one line without control characters, which are replaced by their codes.

    A byte of a name that is not UTF-8 stays, since no terminal acts on it.
    """
    kept = (letter.isprintable() or "\udc80" <= letter <= "\udcff" for letter in text)
    return "".join(letter if keep else ascii(letter)[1:-1] for letter, keep in zip(text, kept, strict=True))


class CommandParser(argparse.ArgumentParser):
    """Parses a command line and escapes what was given in its errors, since a film's name may begin like an option."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        super().error(escape_for_terminal(message))
