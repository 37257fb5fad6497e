"""The graded films are counted among radiographs of other parts of the body, other views, and knees with implants.

    python -m benchmarks.other_parts --films other_views.zip --out docs/evidence/other-parts
    python -m benchmarks.other_parts --films other_views.zip --out runs/other-parts --bundle ./runs/bundle

The archive holds films and labels.csv with the columns file, parts and view. A film whose parts name the knee is
counted by its view, any other film by its parts; films without a label are left out. Writes other-parts.json, which
names the bundle and the graded films, and other-parts.md.
"""

import argparse
import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kneeoa_hub import FilmReport, KneeGrader, from_pretrained
from kneeoa_hub.card.text import table as markdown_table

from .measuring import write_graded

LABELS = "labels.csv"
KNEE = "Knee"


@dataclass(frozen=True)
class Row:
    """A row counts the films of one kind.

    Attributes:
        kind: What they show.
        films: How many there are.
        graded: The files of those that are graded.
    """

    kind: str
    films: int
    graded: tuple[str, ...]


def kind_of(row: Mapping[str, str]) -> str:
    """Return what a row of the labels shows; "" where nothing says so."""
    return f"{KNEE}, {row['view'] or 'view not given'}" if KNEE in row["parts"] else row["parts"]


def measured(grader: KneeGrader, archive: zipfile.ZipFile) -> list[Row]:
    """Return a row of each kind of film, by name."""
    found: dict[str, dict[str, bool]] = {}
    for row in csv.DictReader(io.StringIO(archive.read(LABELS).decode("utf-8"))):
        if kind := kind_of(row):
            (report,) = grader.grade_batch([archive.read(row["file"])])
            graded = isinstance(report, FilmReport) and not report.refused
            found.setdefault(kind, {})[row["file"]] = graded
    return [
        Row(kind, len(films), tuple(file for file, graded in films.items() if graded))
        for kind, films in sorted(found.items())
    ]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, with one for all films that show no knee."""
    others = [row for row in rows if not row.kind.startswith(KNEE)]
    lines = [(row.kind, len(row.graded), row.films) for row in rows]
    lines.append(("No knee", sum(len(row.graded) for row in others), sum(row.films for row in others)))
    return markdown_table(("films", "graded", "of"), lines) + "\n"


def main() -> None:
    """Grade the films, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="archive with labels.csv")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--out", type=Path, required=True, help="folder for other-parts.json and other-parts.md")
    given = parser.parse_args()
    grader = from_pretrained(given.bundle, threads=1)
    with zipfile.ZipFile(given.films) as archive:
        rows = measured(grader, archive)
    write_graded(given.out, "other-parts", grader, rows, table(rows))


if __name__ == "__main__":
    main()
