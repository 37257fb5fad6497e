"""At which JPEG quality grades slide: the measurement behind the limits in kneeoa_hub/imaging/compression.py.

    python -m benchmarks.compression --audit runs/audit
    python -m benchmarks.compression --audit runs/audit --bundle ./runs/bundle --films 200

Validation films of each collection of the audit are compressed with each quality and graded as arrays, so that the
limits themselves do not refuse them. The table has the figures of benchmarks.robustness.
"""

import argparse
from functools import partial
from pathlib import Path

from kneeoa_hub import from_pretrained
from kneeoa_hub.imaging.compression import REFUSED_QUALITY, WARNED_QUALITY
from tuning.data.table import read_films
from tuning.evaluation.film_changes import Change, compressed
from tuning.evaluation.robustness import robustness

from .robustness import films_of, table

QUALITIES = (90, 75, 60, 50, 45, 40, 30, 25, 20, 17, 15, 10, 5)


def main() -> None:
    """Measure, and print a table for each collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True, help="output of `python -m tuning audit`")
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--films", type=int, default=0, help="of each collection at most; 0 is all of them")
    arguments = parser.parse_args()
    grader = from_pretrained(arguments.bundle)
    changes = [Change(f"JPEG, quality {one}", "quality", partial(compressed, quality=one)) for one in QUALITIES]
    print(f"{grader.model}, revision {grader.revision}; warned below {WARNED_QUALITY}, refused below {REFUSED_QUALITY}")
    for name in sorted({film.dataset for film in read_films(arguments.audit)}):
        films = films_of(arguments.audit, name, arguments.films)
        print(f"\n{name}, {len(films)} films\n\n{table(list(robustness(grader, films, changes)))}")


if __name__ == "__main__":
    main()
