"""Reads a DICOMDIR, the list of the films on a CD or another medium (PS3.3 F, PS3.10 8.6)."""

import os
from pathlib import Path
from typing import Any

from ..errors import FilmError, MissingExtra
from .formats import DICOMDIR, is_part_10
from .quiet import quiet_logs, quiet_warnings

HEAD = 1024
"""The meta information of a file names its class within the first 1,024 bytes."""
MOST_BYTES = 16 * 2**20
"""A DICOMDIR has at most 16 MB. A CD with a thousand films has one of half a megabyte."""


def is_dicomdir_file(path: str) -> bool:
    """Tell whether a file is a DICOMDIR, by the class that its meta information names."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):  # ValueError is raised for a path with a null byte
        return False
    return is_dicomdir_start(head)


def is_dicomdir_start(head: bytes) -> bool:
    """Tell whether a file is a DICOMDIR by its first HEAD bytes."""
    return is_part_10(head) and DICOMDIR.encode() in head


def listed_films(path: str) -> tuple[list[str], list[str]]:
    """Return the films that a DICOMDIR lists, and a sentence about those that are not there.

    Raises:
        FilmError: It lists no film that is there, or cannot be read.
        MissingExtra: pydicom is not installed.
    """
    folder = Path(path).parent
    listed = [_found(folder, parts) for parts in _file_ids(path)]
    films = [str(film) for film in dict.fromkeys(listed) if film]
    if not films:
        raise FilmError(f"{path} is a DICOMDIR that lists no film beside it; give the folder with the films.")
    missing = listed.count(None)
    return films, [f"{path}: {missing} of the {len(listed)} films that it lists are missing."] if missing else []


def _file_ids(path: str) -> list[list[str]]:
    """Return the parts of the path of each image that a DICOMDIR lists."""
    try:
        import pydicom

        from .bounds.dicom import CountedReads
        from .dicom_values import items, text  # with NumPy, which a list of films does not need
    except ImportError:
        raise MissingExtra("A DICOMDIR needs pydicom; install it with: pip install 'kneeoa-hub[dicom]'") from None
    try:
        with open(path, "rb") as file:
            content: Any = CountedReads(file.read(MOST_BYTES), MOST_BYTES)
        with quiet_logs(), quiet_warnings():
            header = pydicom.dcmread(content, specific_tags=["DirectoryRecordSequence"], force=True)
            records = items(header, "DirectoryRecordSequence")
            images = [one.get("ReferencedFileID") for one in records if text(one, "DirectoryRecordType") == "IMAGE"]
    except Exception as error:  # pydicom raises many types for a corrupt file
        raise FilmError(
            f"{path} is a DICOMDIR that can't be read ({type(error).__name__}); give the folder with the films."
        ) from None
    return [[one] if isinstance(one, str) else [str(part) for part in one] for one in images if one]


def _found(folder: Path, parts: list[str]) -> Path | None:
    """Return the file below a folder, or None if it is not there. Other systems may write the names in small letters.

    A part of the path that leads out of the folder names nothing.
    """
    at = folder
    for part in parts:
        names = {name.upper(): name for name in sorted(os.listdir(at))} if at.is_dir() else {}
        if (name := names.get(part.strip().upper())) is None:
            return None
        at = at / name
    return at if at.is_file() else None
