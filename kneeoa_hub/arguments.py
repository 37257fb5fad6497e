"""Checks the arguments of the public functions, so that a mistake raises one of the package's own errors."""

import operator
import os
import reprlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import SettingsError

MOST = 1024
"""A number of threads, processes or films at a time is at most this, far more than the cores of any machine."""


def check_count(name: str, value: Any, least: int = 0, most: int = MOST) -> None:
    """Check an argument that is a whole number, such as an int or an integer of NumPy.

    Args:
        name: The argument's name.
        value: What was given.
        least: The least value that it may have.
        most: The greatest one.

    Raises:
        SettingsError: It is no whole number, or is out of bounds.
    """
    try:
        right = not isinstance(value, bool) and least <= operator.index(value) <= most
    except TypeError:
        right = False
    if not right:
        raise SettingsError(
            f"{name}={shown(value)} is not a whole number from {least} to {most}; give one, as {name}=2."
        )


def check_texts(**values: Any) -> None:
    """Raise SettingsError for an argument that is neither text nor None. A token is not quoted."""
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise SettingsError(f'{name}= is {kind_of(value)}, which is no text; give text, as {name}="...".')


def checked_path(name: str, value: Any) -> str:
    """Return an argument that names a file, a folder or an address. Raises SettingsError for anything else."""
    path = None
    with suppress(Exception):  # the caller's own object may raise anything
        path = os.fspath(value)
    if not isinstance(path, str):
        raise SettingsError(f"{name}= is {kind_of(value)}, which is no path; give text or a pathlib.Path.")
    return path


def checked_paths(name: str, value: Any) -> list[str]:
    """Return an argument that names one or several files as a list; see `checked_path`."""
    several = value if isinstance(value, Iterable) and not isinstance(value, str | bytes | Path) else [value]
    return [checked_path(name, one) for one in several]


def shown(value: Any) -> str:
    """Return a value as an error shows it, shortened if it is long."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "a value of such large numbers"


def kind_of(value: Any) -> str:
    """Return the type of a value as a sentence names it, such as "an int"."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
