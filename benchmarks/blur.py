"""Grades of blurred films are compared with those of sharp films and of readers, to show how much blur they bear.

    python -m benchmarks.blur --data runs/audit

Grades 250 OAI validation knees with the shipped weights at each blur. The result shows from which blur on a gate should
refuse a film.
"""

import argparse
from pathlib import Path

import numpy as np

BLURS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
"""The films are blurred with these standard deviations, in widths of the film."""


def main() -> None:
    """Grade at every blur, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--films", type=int, default=250)
    arguments = parser.parse_args()

    from scipy.ndimage import gaussian_filter

    import kneeoa_hub
    from kneeoa_hub.agreement import qwk
    from kneeoa_hub.imaging.decode import decode
    from tuning.data.sources import FilmReader
    from tuning.data.table import read_films

    grader = kneeoa_hub.from_pretrained()
    rows = [
        film for film in read_films(arguments.data) if (film.split, film.use, film.dataset) == ("val", "yes", "oai")
    ]
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[: arguments.films]]
    with FilmReader() as reader:
        films = [decode(reader.read(row.source, row.file)).pixels for row in rows]
    truth, sharp = np.array([row.grade for row in rows]), np.empty(0)
    print("| blur, in widths | QWK with the sharp film's grade | QWK with the reader |\n|---|---|---|")
    for blur in BLURS:
        graded = [
            grader.grade(gaussian_filter(film, blur * film.shape[1]) if blur else film, force=True).knees[0].grade
            for film in films
        ]
        sharp = np.array(graded) if not blur else sharp
        print(f"| {blur:.3f} | {qwk(sharp, np.array(graded)):.3f} | {qwk(truth, np.array(graded)):.3f} |", flush=True)


if __name__ == "__main__":
    main()
