"""`fuzz_reader` begins with these films, which are small, synthetic and real."""

import io
from itertools import islice
from pathlib import Path

import numpy as np

SIDE = 40
"""A seed has this many pixels per side, so that an input takes a millisecond."""
REAL_FILMS = 12
"""This many films of each collection become seeds."""
EVERY = 100
"""Of the Gornale set, every film at this step is taken."""
IN_ALL_KINDS = 2
"""The first films become seeds in every kind of a format, and the others only in its first kind."""


def synthetic() -> list[np.ndarray]:
    """Return small synthetic films, [H,W] uint16."""
    from kneeoa_hub.imaging.phantom import knee_film

    return [small(knee_film(grade, 3, bits=16).pixels) for grade in (0, 4)]


def real() -> list[np.ndarray]:
    """Return small real films of both collections, [H,W] uint16; none without KNEEOA_DATA."""
    import tarfile
    import zipfile

    from PIL import Image

    from kneeoa_hub.settings import Settings

    data = Settings.from_environ().data
    if not data:
        return []
    with zipfile.ZipFile(Path(data) / "oai_val.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        contents = [archive.read(name) for name in names[:: len(names) // REAL_FILMS][:REAL_FILMS]]
    with tarfile.open(Path(data) / "gornale_original_png.tar") as archive:
        members = (member for member in archive if member.name.endswith(".png"))
        files = (archive.extractfile(member) for member in islice(members, 0, EVERY * REAL_FILMS, EVERY))
        contents += [file.read() for file in files if file]
    return [
        small(np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(np.uint16) * 257) for content in contents
    ]


def small(film: np.ndarray) -> np.ndarray:
    """Return a film [H,W] with SIDE pixels per side or slightly more."""
    return np.ascontiguousarray(film[:: max(1, film.shape[0] // SIDE), :: max(1, film.shape[1] // SIDE)])


def plant(films: list[np.ndarray], form: str, corpus: Path, kind: str) -> int:
    """Write films of one format to a folder, and return the number of files.

    Args:
        films: The films.
        form: The format.
        corpus: The folder.
        kind: Start of the names.
    """
    from .film_kinds import film_files

    number = 0
    for place, film in enumerate(films):
        files = (file for file in film_files(film) if file.form == form)
        for file in files if place < IN_ALL_KINDS else islice(files, 1):
            (corpus / f"{kind}-{number}").write_bytes(file.content)
            number += 1
    return number
