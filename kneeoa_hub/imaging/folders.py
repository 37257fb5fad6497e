"""Finds the films among the files of a folder."""

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import FilmError
from .formats import FILM_SUFFIXES, is_dicom

HEAD = 132
"""The first bytes of a file, among which is the mark of DICOM."""


def films_of(paths: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """Replace each folder by the films below it, in the order of their names.

    Args:
        paths: Films and folders.

    Returns:
        The films, and for each folder the number of its files that are not films.

    Raises:
        FilmError: A folder holds no film.
    """
    films: list[str] = []
    others: dict[str, int] = {}
    for path in paths:
        if not os.path.isdir(path):
            films.append(path)
            continue
        files = [file for file in Path(path).rglob("*") if file.is_file()]
        found = sorted(str(file) for file in files if _is_film(file))
        if not found:
            kinds = f"{', '.join(sorted(FILM_SUFFIXES))}, or DICOM without a suffix"
            raise FilmError(f"{path} is a folder without films ({kinds}); give a folder that holds films.")
        films += found
        others[path] = len(files) - len(found)
    return films, others


def _is_film(file: Path) -> bool:
    """Return whether a file is a film, by its suffix, or by its first bytes where it has none or ends like a UID.

    DICOMDIR is the table of contents of an archive and not a film.
    """
    suffix = file.suffix.lower()
    if suffix in FILM_SUFFIXES:
        return True
    if suffix.strip(".0123456789") or file.name.upper() == "DICOMDIR":
        return False
    try:
        with file.open("rb") as content:
            return is_dicom(content.read(HEAD))
    except OSError:
        return False
