"""Each special case of the screener is switched off in turn: what it finds, and what it lets through by mistake.

    python -m benchmarks.special_cases --audit runs/audit --both-knees outside.zip --others other_views.zip \\
        --out docs/evidence/special-cases

Validation films of each collection are screened as they are and under every change of benchmarks.robustness; films of
both knees from outside as they are, on a page, on a screenshot, and under the changes of benchmarks.outside; all of
these in the seven other poses; and other views and parts as they are. A film for which a special case decided is
screened again without it. The column "finds" counts the films that get all of their knees by it alone, and "costs"
those that would get all of them without it. Of the films that show no frontal knee, "lets through" counts those that
are graded by it alone, and "keeps out" those that would be graded without it. Writes special-cases.json, which names
the bundle and the films, and special-cases.md.
"""

import argparse
import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from kneeoa_hub import from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.imaging.film import Film
from kneeoa_hub.imaging.gate import POSES, UPRIGHT
from kneeoa_hub.imaging.screen import Screener
from tuning.evaluation.film_changes import CHANGES, Change, pixels_of
from tuning.run import console

from .measuring import write_graded
from .other_parts import KNEE, LABELS, kind_of
from .outside import CHANGED, films_in

CASES = {
    "a film on a page or a screenshot": "_on_page",
    "two faint knees that support each other": "_pair",
    "a closer look": "_closer",
    "another pose": "_in_another_pose",
    "the whole film is one knee in another pose": "_whole_in_another_pose",
}
"""The special cases, and the methods of the screener that decide them. Each gives a screening, or none."""
OUTCOMES = ("finds", "costs", "lets through", "keeps out")
SCREEN = (1920, 1080)
"""Width and height of a screen in pixels."""
FRONTAL = ("frontal", "frontal+other")
"""Views of films that show a frontal knee."""


@dataclass(frozen=True)
class CountedFilm:
    """A film [H,W] with the number of its frontal knees; None where one or more are right."""

    name: str
    pixels: np.ndarray
    knees: int | None


@dataclass(frozen=True)
class Row:
    """A row counts what one special case decides.

    Attributes:
        case: Its name.
        decided: Number of films for which it gave an answer. Another part of the film may have given a better one.
        finds: Films that get all of their knees by it alone.
        costs: Films that would get all of their knees without it.
        lets_through: Films without a frontal knee that are graded by it alone.
        keeps_out: Films without a frontal knee that would be graded without it.
    """

    case: str
    decided: int
    finds: tuple[str, ...]
    costs: tuple[str, ...]
    lets_through: tuple[str, ...]
    keeps_out: tuple[str, ...]


class Watched(Screener):
    """A screener that notes which of its special cases decide, and does without one of them.

    Attributes:
        decided: The special cases that gave an answer since it was last emptied.
        without: The one that is switched off; "" for none.
    """

    def __init__(self, screener: Screener):
        vars(self).update(vars(screener))
        self.decided: set[str] = set()
        self.without = ""
        for case, method in CASES.items():
            setattr(self, method, partial(self._watch, case, getattr(self, method)))

    def _watch(self, case: str, method: Callable[..., Any], *given: Any) -> Any:
        if case == self.without:
            return None
        answer = method(*given)
        if answer:
            self.decided.add(case)
        return answer

    def knees(self, pixels: np.ndarray, without: str = "") -> int:
        """Return how many knees of a film are graded."""
        self.without = without
        return self(Film(np.asarray(pixels, np.float32), "film")).accepted


def changed(films: Iterable[CountedFilm], changes: Sequence[Change]) -> Iterator[CountedFilm]:
    """Yield films as they are, in other poses, and under changes."""
    for number, film in enumerate(films):
        yield film
        for turns, inverted in POSES[UPRIGHT + 1 :]:
            pixels = film.pixels.max() - film.pixels if inverted else film.pixels
            name = f"{film.name}, turned by {90 * turns} degrees" + ", inverted" * inverted
            yield CountedFilm(name, np.rot90(pixels, turns), film.knees)
        for place, change in enumerate(changes):
            pixels = pixels_of(change.apply(film.pixels, np.random.default_rng([0, place, number])))
            yield CountedFilm(f"{film.name}, {change.name}", pixels, film.knees)


def on_screenshot(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture of a screen with the film in a window of 45% to 80% of its height, and lines of words."""
    width, height = SCREEN
    scale = rng.uniform(0.45, 0.8) * height / len(pixels)
    film = Image.fromarray(pixels).resize((round(scale * pixels.shape[1]), round(scale * len(pixels))))
    screen = Image.new("L", SCREEN, int(rng.choice((0, 20, 60, 240))))
    left, top = int(rng.integers(300, max(301, width - film.width))), int(rng.integers(60, height - film.height))
    screen.paste(film, (left, top))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, width, 40), fill=120)
    for line in range(12):
        draw.text((20, 80 + 40 * line), f"Series {line}, 1 of 1", fill=150)
    return np.asarray(screen)


def collections(audit: Path, most: int) -> Iterator[CountedFilm]:
    """Yield validation films of each collection, at most so many; strips of both legs are not among them."""
    from tuning.data.table import read_films  # brings SciPy, as the next one does

    from .robustness import films_of

    for dataset in sorted({film.dataset for film in read_films(audit)}):
        for number, film in enumerate(films_of(audit, dataset, most)):
            yield CountedFilm(f"{dataset} {number}", film.pixels, 1)


def other_views(path: Path) -> Iterator[CountedFilm]:
    """Yield the labelled films of an archive of other views and parts."""
    with zipfile.ZipFile(path) as archive:
        for row in csv.DictReader(io.StringIO(archive.read(LABELS).decode("utf-8"))):
            if not (kind := kind_of(row)):
                continue
            with Image.open(io.BytesIO(archive.read(row["file"]))) as image:
                pixels = np.asarray(image.convert("L"))
            knees = None if kind.startswith(KNEE) and row["view"] in FRONTAL else 0
            yield CountedFilm(f"{kind}: {row['file']}", pixels, knees)


def measured(screener: Screener, films: Iterable[CountedFilm]) -> list[Row]:
    """Return a row of each special case."""
    watched, decided = Watched(screener), Counter[str]()
    found: dict[tuple[str, str], list[str]] = {}
    for film in films:
        watched.decided.clear()
        with_all = watched.knees(film.pixels)
        for case in sorted(watched.decided):
            decided[case] += 1
            without = watched.knees(film.pixels, case)
            found.setdefault((case, judged(film.knees, with_all, without)), []).append(film.name)
    return [Row(case, decided[case], *(tuple(found.get((case, what), ())) for what in OUTCOMES)) for case in CASES]


def judged(knees: int | None, with_all: int, without: int) -> str:
    """Return which of OUTCOMES a special case has for a film; "" for none.

    Args:
        knees: The number of frontal knees of the film; None where one or more are right.
        with_all: How many are graded.
        without: How many are graded without the special case.
    """
    if knees == 0:
        return "lets through" if with_all and not without else "keeps out" if without and not with_all else ""
    right, right_without = (bool(count) if knees is None else count == knees for count in (with_all, without))
    return "" if right == right_without else "finds" if right else "costs"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        (row.case, row.decided, *map(len, (row.finds, row.costs, row.lets_through, row.keeps_out))) for row in rows
    ]
    return markdown_table(("special case", "decided", *OUTCOMES), lines) + "\n"


def main() -> None:
    """Screen the films, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True, help="output folder of the audit")
    parser.add_argument("--both-knees", type=Path, required=True, help="archive of films of both knees")
    parser.add_argument("--others", type=Path, required=True, help="archive with labels.csv")
    parser.add_argument("--films", type=int, default=60, help="validation films of each collection at most")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--out", type=Path, required=True, help="folder for special-cases.json and special-cases.md")
    given = parser.parse_args()
    console.prepare()
    grader = from_pretrained(given.bundle, threads=1)
    both = (CountedFilm(f"outside {name}", pixels, 2) for name, pixels in films_in(given.both_knees).items())
    few = [change for change in CHANGES if change.name in (*CHANGED, "page")]
    few.append(Change("screenshot", "framing", on_screenshot))

    def films() -> Iterator[CountedFilm]:
        yield from changed(collections(given.audit, given.films), CHANGES)
        yield from changed(both, few)
        yield from other_views(given.others)

    rows = measured(grader.screener, films())
    write_graded(given.out, "special-cases", grader, rows, table(rows))


if __name__ == "__main__":
    main()
