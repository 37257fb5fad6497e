"""The graded films are counted among radiographs of other parts of the body, other views, and knees with implants.

    python -m benchmarks.other_parts --films other_views.zip
    python -m benchmarks.other_parts --films other_views.zip --bundle ./runs/bundle

The archive holds films and labels.csv with the columns file, parts and view. A film whose parts name the knee is
counted by its view, any other film by its parts; films without a label are left out.
"""

import argparse
import csv
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from kneeoa_hub import FilmReport, KneeGrader, from_pretrained
from kneeoa_hub.card.text import table as markdown_table

LABELS = "labels.csv"


def kind_of(row: Mapping[str, str]) -> str:
    """Return what a row of the labels shows; "" where nothing says so."""
    return f"Knee, {row['view'] or 'view not given'}" if "Knee" in row["parts"] else row["parts"]


def graded_by_kind(grader: KneeGrader, archive: zipfile.ZipFile) -> dict[str, Counter[bool]]:
    """Return by kind of film how many are graded (True) and how many are not."""
    counts: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for row in csv.DictReader(io.StringIO(archive.read(LABELS).decode("utf-8"))):
        if kind := kind_of(row):
            (report,) = grader.grade_batch([archive.read(row["file"])])
            counts[kind][isinstance(report, FilmReport) and not report.refused] += 1
    return dict(sorted(counts.items()))


def table(counts: Mapping[str, Counter[bool]]) -> str:
    """Return the counts as Markdown, with a row for all films that show no knee."""
    others = sum((count for kind, count in counts.items() if not kind.startswith("Knee")), Counter[bool]())
    rows = [(kind, count[True], count.total()) for kind, count in [*counts.items(), ("No knee", others)]]
    return markdown_table(("films", "graded", "of"), rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="archive with labels.csv")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.films) as archive:
        print(table(graded_by_kind(from_pretrained(arguments.bundle, threads=1), archive)))


if __name__ == "__main__":
    main()
