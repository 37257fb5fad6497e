"""Films of both knees from outside the training collections are counted in which each knee is found once.

    python -m benchmarks.outside --data outside.zip
    python -m benchmarks.outside --data outside.zip --bundle ./runs/bundle --films 20

The archive holds frontal films of both knees in the folder films/. They are screened as they are, and under changes
that keep both knees in the film and the space between them in its middle. A film has each knee once where one box lies
in each half of it.
"""

import argparse
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from kneeoa_hub import KneeGrader, from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence.robustness import AS_IT_IS
from kneeoa_hub.imaging.letterbox import Box
from tuning.evaluation.film_changes import CHANGES

CHANGED = ("white border 10%", "cut to .9", "turned by 7 degrees", "gamma 2", "contrast .3", "CLAHE .01", "noise 10")
"""These are names of changes. A film that is cut closer than this may lose a part of a knee."""
OUTCOMES = ("each knee once", "one knee", "refused", "a place twice or more")


def outcome(boxes: Sequence[Box], width: int) -> str:
    """Return which of OUTCOMES these boxes of a film of both knees are."""
    halves = Counter((left + right) / 2 < width / 2 for left, _, right, _ in boxes)
    if halves and max(halves.values()) > 1:
        return "a place twice or more"
    return ("refused", "one knee", "each knee once")[len(boxes)]


def outcomes(grader: KneeGrader, films: Mapping[str, np.ndarray]) -> dict[str, dict[str, str]]:
    """Return for the films as they are, and for each change, the outcome of every film."""
    changes = [change for change in CHANGES if change.name in CHANGED]
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for number, (name, pixels) in enumerate(films.items()):
        changed = {change.name: change.apply(pixels, np.random.default_rng(number)) for change in changes}
        for change, film in {AS_IT_IS: pixels, **changed}.items():
            report = grader.grade(film)
            found[change][name] = outcome([knee.box for knee in report.knees], film.shape[1])
    return found


def table(found: Mapping[str, Mapping[str, str]]) -> str:
    """Return the outcomes as Markdown, a row a change."""
    counts = {change: Counter(by_film.values()) for change, by_film in found.items()}
    rows = [(change, *(count[one] for one in OUTCOMES)) for change, count in counts.items()]
    return markdown_table(("films", *OUTCOMES), rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="archive with the folder films/")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--films", type=int, help="at most; all by default")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.data) as archive:
        names = sorted(name for name in archive.namelist() if PurePosixPath(name).suffix in (".jpg", ".png"))
        films = {
            PurePosixPath(name).stem: np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L"))
            for name in names[: arguments.films]
        }
    found = outcomes(from_pretrained(arguments.bundle, threads=1), films)
    print(table(found))
    for change, by_film in found.items():
        lacking = [f"{name} ({one})" for name, one in by_film.items() if one != OUTCOMES[0]]
        print(f"{change}: {', '.join(lacking) or 'none lacking'}")


if __name__ == "__main__":
    main()
