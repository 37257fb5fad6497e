"""Films of both knees from outside the training collections are counted in which each knee is found once.

    python -m benchmarks.outside --data outside.zip --out docs/evidence/outside
    python -m benchmarks.outside --data outside.zip --out runs/outside --bundle ./runs/bundle --films 20

The archive holds frontal films of both knees in the folder films/. They are screened as they are, and under changes
that keep both knees in the film and the space between them in its middle. A film has each knee once where one box lies
in each half of it. The heatmap of a knee peaks in the joint space or beside it; a flat one is not shown. Writes
outside.json, which names the bundle and the other films, and outside.md.
"""

import argparse
import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from kneeoa_hub import KneeGrader, from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence.robustness import AS_IT_IS
from kneeoa_hub.imaging.letterbox import Box
from tuning.evaluation.film_changes import CHANGES, pixels_of

from .measuring import write_graded

CHANGED = ("white border 10%", "cut to .9", "turned by 7 degrees", "gamma 2", "contrast .3", "CLAHE .01", "noise 10")
"""These are names of changes. A film that is cut closer than this may lose a part of a knee."""
ONCE = "each knee once"
OUTCOMES = (ONCE, "one knee", "refused", "a place twice or more")
PEAKS = ("heatmap peaks in the joint space", "beside it", "no heatmap")


@dataclass(frozen=True)
class Row:
    """A row counts the outcomes of the films under one change.

    Attributes:
        change: Its name.
        counts: How many films have each of OUTCOMES.
        lacking: The outcome of each film in which not every knee is found once.
        peaks: How many of the graded knees have each of PEAKS.
    """

    change: str
    counts: dict[str, int]
    lacking: dict[str, str]
    peaks: dict[str, int]


@dataclass(frozen=True)
class Answer:
    """A film has one of OUTCOMES, and each of its knees one of PEAKS."""

    outcome: str
    peaks: tuple[str, ...]


def outcome(boxes: Sequence[Box], width: int) -> str:
    """Return which of OUTCOMES these boxes of a film of both knees are."""
    halves = Counter((left + right) / 2 < width / 2 for left, _, right, _ in boxes)
    if halves and max(halves.values()) > 1:
        return "a place twice or more"
    return ("refused", "one knee", ONCE)[len(boxes)]


def peak(heatmap: np.ndarray) -> str:
    """Return which of PEAKS a heatmap [h,w] over a knee's box has."""
    from tuning.evaluation.occlusion import JOINT  # brings SciPy, which takes a second

    if not heatmap.any():
        return PEAKS[2]
    down, across = (
        (place + 0.5) / side
        for place, side in zip(np.unravel_index(int(heatmap.argmax()), heatmap.shape), heatmap.shape, strict=True)
    )
    left, top, right, bottom = JOINT
    return PEAKS[0] if left <= across < right and top <= down < bottom else PEAKS[1]


def row(change: str, by_film: Mapping[str, Answer]) -> Row:
    """Count the answers to films under a change."""
    counts = Counter(answer.outcome for answer in by_film.values())
    peaks = Counter(one for answer in by_film.values() for one in answer.peaks)
    lacking = {film: answer.outcome for film, answer in by_film.items() if answer.outcome != ONCE}
    return Row(change, {one: counts[one] for one in OUTCOMES}, lacking, {one: peaks[one] for one in PEAKS})


def measured(grader: KneeGrader, films: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """Yield a row of the films as they are, and one of each change."""
    found: dict[str, dict[str, Answer]] = {}
    changes = [change for change in CHANGES if change.name in CHANGED]
    for number, (name, pixels) in enumerate(films.items()):
        changed = {change.name: pixels_of(change.apply(pixels, np.random.default_rng(number))) for change in changes}
        for change, film in {AS_IT_IS: pixels, **changed}.items():
            knees = grader.grade(film).knees
            once = outcome([knee.box for knee in knees], film.shape[1])
            found.setdefault(change, {})[name] = Answer(once, tuple(peak(knee.heatmap) for knee in knees))
    for change, by_film in found.items():
        yield row(change, by_film)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        (one.change, *(one.counts[name] for name in OUTCOMES), *(one.peaks[name] for name in PEAKS)) for one in rows
    ]
    return markdown_table(("films", *OUTCOMES, *PEAKS), lines) + "\n"


def films_in(path: Path, most: int | None = None) -> dict[str, np.ndarray]:
    """Return the films [H,W] of an archive by name; `most`: so many at most."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if PurePosixPath(name).suffix in (".jpg", ".png"))
        return {
            PurePosixPath(name).stem: np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L"))
            for name in names[:most]
        }


def main() -> None:
    """Screen the films, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="archive with the folder films/")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--films", type=int, help="at most; all by default")
    parser.add_argument("--out", type=Path, required=True, help="folder for outside.json and outside.md")
    given = parser.parse_args()
    grader = from_pretrained(given.bundle, threads=1)
    rows = list(measured(grader, films_in(given.data, given.films)))
    write_graded(given.out, "outside", grader, rows, table(rows))


if __name__ == "__main__":
    main()
