"""The reader of burnt-in markers is measured on real films, which it was not trained on.

    python -m benchmarks.markers --data KNEEOA_DATA --out docs/evidence/node/markers.json

Of the films of both knees in outside.zip, one of the project has written down by eye which letters they show. Mirrored
films show no upright letter, the films of other_views.zip with a view are marked D and E (Portuguese), and the strips
of the Gornale set have no marker: each letter that is read there is invented.
"""

import argparse
import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub import KneeGrader, from_pretrained
from kneeoa_hub.imaging import laterality
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.markers import LEAST_SIDE, SURE, MarkerReader

from .film_kinds import dicom

BOTH = (
    *(1, 2, 6, 9, 12, 13, 14, 16, 17, 25, 26, 27, 29, 30, 32, 33, 34, 36, 43, 44, 47, 51, 52, 54, 55, 57, 58, 61, 62),
)
"""The films in outside.zip with these numbers show R and L."""
RIGHT = (3, 5, 7, 10, 15, 18, 22, 23, 28, 35, 38, 39, 41, 42, 45, 49, 50, 56, 59, 64)
"""These films show R alone; 18 and 38 are cut through it."""
LEFT = (31,)
"""This film shows L alone."""
STRIP = 1.5
"""A strip has at least this width over its height."""


@dataclass(frozen=True)
class Read:
    """The reader made this of real films.

    Attributes:
        sure: Probability from which a letter is read.
        films: Films of both knees.
        letters: Letters on them, by eye.
        found: Letters that were read, each once on its film.
        other: Letters that were read and are not on the film.
        mirrored: Letters that were read on the same films, mirrored.
        foreign_films: Films that are marked D or E.
        foreign: Letters that were read on them.
        strips: Strips without a marker.
        on_strips: Letters that were read on them.
        graded: Films with two graded knees.
        sides_by_markers: Of these, with sides by markers where the header is silent.
        sides_unknown: Graded films whose knees have no side, since a third knee was suspected.
        sides_wrong: Graded films with the sides the other way round than a person reads.
        sides_wrong_mirrored: Graded films, mirrored, with other sides than by the convention because of a marker.
        contradictions: Graded films with a warning where the header says the opposite of what a person reads.
        false_contradictions: Graded films with a warning where the header says what a person reads.
    """

    sure: float
    films: int
    letters: int
    found: int
    other: int
    mirrored: int
    foreign_films: int
    foreign: int
    strips: int
    on_strips: int
    graded: int
    sides_by_markers: int
    sides_unknown: int
    sides_wrong: int
    sides_wrong_mirrored: int
    contradictions: int
    false_contradictions: int


def measure(data: Path, reader: MarkerReader, grader: KneeGrader) -> Read:
    """Read the films, and grade those of both knees with a silent, an agreeing and a contradicting header.

    Args:
        data: The folder with the real films.
        reader: The reader of markers.
        grader: The model.
    """
    films = list(_outside(data))
    seen = [[marker.letter for marker in reader(_pixels(film))] for film in films]
    by_eye = [_by_eye(number) for number in range(len(films))]
    mirrored = sum(len(reader(_pixels(film)[:, ::-1])) for film in films)
    foreign = [len(reader(_pixels(film))) for film in _foreign(data)]
    strips = [len(reader(_pixels(film))) for film in _strips(data)]
    graded = by_markers = unknown = wrong = wrong_mirrored = right_warned = wrong_warned = 0
    for film in films:
        silent = grader.grade(film)
        if len(silent.knees) != 2:
            continue
        graded += 1
        by_markers += laterality.MARKERS_WARNING in silent.warnings
        unknown += None in [knee.side for knee in silent.knees]
        wrong += [knee.side for knee in silent.knees] == ["left", "right"]
        flipped = grader.grade(np.ascontiguousarray(film[:, ::-1]))
        wrong_mirrored += laterality.MARKERS_MIRRORED_WARNING in flipped.warnings
        wrong_warned += laterality.CONTRADICTION in grader.grade(_headed(film, "R")).warnings
        right_warned += laterality.CONTRADICTION in grader.grade(_headed(film, "L")).warnings
    return Read(
        sure=SURE,
        films=len(films),
        letters=sum(map(len, by_eye)),
        found=sum(letter in read for read, known in zip(seen, by_eye, strict=True) for letter in known),
        other=sum(_surplus(read, known) for read, known in zip(seen, by_eye, strict=True)),
        mirrored=mirrored,
        foreign_films=len(foreign),
        foreign=sum(foreign),
        strips=len(strips),
        on_strips=sum(strips),
        graded=graded,
        sides_by_markers=by_markers,
        sides_unknown=unknown,
        sides_wrong=wrong,
        sides_wrong_mirrored=wrong_mirrored,
        contradictions=wrong_warned,
        false_contradictions=right_warned,
    )


def _by_eye(number: int) -> str:
    return "RL" if number in BOTH else "R" if number in RIGHT else "L" if number in LEFT else ""


def _surplus(read: list[str], known: str) -> int:
    """Return how many letters were read that are not on the film, or were read twice."""
    return len(read) - len({letter for letter in read if letter in known})


def _pixels(film: np.ndarray) -> np.ndarray:
    return decode(film).pixels


def _headed(film: np.ndarray, right: str) -> bytes:
    """Return a film as DICOM in whose header the picture's right lies at the patient's left or right."""
    return dicom(film.astype(np.uint16) << 4, PatientOrientation=[right, "F"])


def _outside(data: Path) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(data / "outside.zip") as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".jpg")):
            yield _gray(archive.read(name))


def _foreign(data: Path) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(data / "other_views.zip") as archive:
        (table,) = (name for name in archive.namelist() if name.endswith(".csv"))
        for row in csv.DictReader(io.TextIOWrapper(archive.open(table))):
            if row["view"] not in ("", "implant"):
                yield _gray(archive.read(row["file"]))


def _strips(data: Path) -> Iterator[np.ndarray]:
    with tarfile.open(data / "gornale_original_png.tar") as archive:
        for member in archive:
            if member.isfile() and (content := archive.extractfile(member)) and member.name.endswith(".png"):
                film = _gray(content.read())
                if film.shape[1] >= STRIP * film.shape[0] and max(film.shape) >= LEAST_SIDE:
                    yield film


def _gray(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def main() -> None:
    """Measure, print the outcome, and write it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the archives")
    parser.add_argument("--networks", type=Path, help="a folder with the two networks; the package's own by default")
    parser.add_argument("--out", type=Path, help="write the outcome to this file")
    given = parser.parse_args()
    reader = MarkerReader(folder=given.networks) if given.networks else MarkerReader()
    text = json.dumps(asdict(measure(given.data, reader, from_pretrained())), indent=1) + "\n"
    print(text)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
