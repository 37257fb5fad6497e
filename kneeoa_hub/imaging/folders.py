"""Finds the films among the files of folders, and those that a DICOMDIR lists."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from ..errors import FilmError
from .dicomdir import HEAD, is_dicomdir_file, is_dicomdir_start, listed_films
from .formats import CAPTURE, FILM_SUFFIXES, OVERLAY, REPORT, is_dicom, is_part_10

NAMED = 3
"""A sentence about skipped files names at most three of them."""
WRITTEN = tuple(f".{end}" for end in (OVERLAY, REPORT, CAPTURE))
"""The files that `kneeoa grade` writes, maybe into the folder of the films, have names that end so."""
HIDDEN = "."
"""Hidden files and folders have names that begin so: what a Mac writes beside each file, previews of desktops, and
bins.
"""
OF_SYSTEMS = {"__MACOSX", "@EADIR", "#RECYCLE", "$RECYCLE.BIN", "SYSTEM VOLUME INFORMATION", "LOST+FOUND"}
"""Systems make these folders for themselves: parts of files of a Mac, previews of a disk station, bins. The names are
in capitals.
"""


def films_of(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Replace each folder by the films below it, in the order of their names, and each DICOMDIR by those that it lists.

    Args:
        paths: Films, folders and DICOMDIRs.

    Returns:
        The films, and sentences about what was left out.

    Raises:
        FilmError: A folder or DICOMDIR holds no film.
        MissingExtra: A DICOMDIR was given, and pydicom is not installed.
    """
    films: list[str] = []
    notes: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            found, said = _in_folder(path)
        elif is_dicomdir_file(path):
            found, said = listed_films(path)
        else:
            found, said = [path], []
        films += found
        notes += said
    return films, notes


def _in_folder(folder: str) -> tuple[list[str], list[str]]:
    listed, closed = files_below(folder)
    files = sorted({str(Path(file)) for file in listed})
    dead = [file for file in files if _leads_nowhere(file, folder)]
    found = [file for file in files if os.path.isfile(file) and _is_film(Path(file), folder)]
    if not found:
        kinds = f"{', '.join(sorted(FILM_SUFFIXES))}, or DICOM with any name"
        raise FilmError(f"{folder} is a folder without films ({kinds}); give a folder that holds films.")
    notes = [f"{one}: this folder can't be read, so its films are left out." for one in closed]
    notes += [f"{one}: this link leads nowhere, so it is left out." for one in dead]
    known = {*found, *dead}
    others = [os.path.relpath(file, folder) for file in files if file not in known]
    return found, [*notes, *skipped(folder, others)]


def skipped(folder: str, others: Sequence[str]) -> list[str]:
    """Return a sentence that names the first files in a folder that are no films, or no sentence if all are films."""
    if not others:
        return []
    named, more = ", ".join(others[:NAMED]), f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    what = "file" if len(others) == 1 else "files"
    why = "hidden, or no film by suffix and not DICOM"
    return [f"{folder}: skipped {len(others)} other {what} ({why}): {named}{more}."]


def files_below(folder: str) -> tuple[list[str], list[str]]:
    """List every file below a folder, also in folders that are linked there, each of them once.

    Returns:
        The paths of the files, and those of the folders that cannot be read.
    """
    files: list[str] = []
    closed: list[str] = []
    seen: set[str] = set()
    waiting = [folder]
    for top in waiting:  # linked folders are added while it goes on
        for at, folders, names in os.walk(top, onerror=lambda error: closed.append(str(error.filename))):
            if (real := os.path.realpath(at)) in seen:
                folders.clear()
                continue
            seen.add(real)
            waiting += [os.path.join(at, name) for name in sorted(folders) if os.path.islink(os.path.join(at, name))]
            files += [os.path.join(at, name) for name in names]
    return files, closed


def is_hidden(file: PurePath) -> bool:
    """Tell by its path within the given folder whether people see a file there."""
    return any(part.startswith(HIDDEN) or part.upper() in OF_SYSTEMS for part in file.parts)


def is_film_by_name(place: PurePath) -> bool | None:
    """Tell by its path within the given folder whether a file is a film.

    None means that only its first bytes can tell.
    """
    if is_hidden(place) or place.name.lower().endswith(WRITTEN) or place.name.upper() == "DICOMDIR":
        return False
    return True if place.suffix.lower() in FILM_SUFFIXES else None


def is_film_by_start(place: PurePath, start: bytes) -> bool:
    """Tell by its first HEAD bytes whether a file is DICOM that may hold a film.

    A data set without the mark may look like another file: it counts if no suffix says what the file is.
    """
    if is_dicomdir_start(start):
        return False
    return is_part_10(start) or (not place.suffix.strip(".0123456789") and is_dicom(start))


def start_of(file: Path) -> bytes:
    """Return the first HEAD bytes of a file, or no bytes if it cannot be read."""
    try:
        with file.open("rb") as content:
            return content.read(HEAD)
    except OSError:
        return b""


def _is_film(file: Path, folder: str) -> bool:
    by_name = is_film_by_name(file.relative_to(folder))
    return is_film_by_start(file, start_of(file)) if by_name is None else by_name


def _leads_nowhere(file: str, folder: str) -> bool:
    return os.path.islink(file) and not os.path.exists(file) and not is_hidden(Path(file).relative_to(folder))
