"""Synthetic knees are graded by a bundle: whether it gives the drawn grade, and takes them for films like most.

    python -m benchmarks.phantoms
    python -m benchmarks.phantoms --first 0 --knees 100

The default seeds are none of those that the drawing was tuned with, nor those of the sample films.
"""

import argparse

import numpy as np

from kneeoa_hub import from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.imaging.refusal import TrainingDistances
from kneeoa_hub.knee import KneeGrade

FIRST, KNEES = 1000, 40
"""The first seed of each grade is 1000, and 40 knees are drawn."""


def graded(grader: KneeGrader, grade: int, first: int, knees: int) -> list[KneeGrade]:
    """Return the answers for synthetic knees of a grade; a film that is refused has none.

    Args:
        grader: Grades them.
        grade: The grade that is drawn.
        first: The first seed.
        knees: How many knees are drawn.
    """
    films = (knee_film(grade, seed, side=("right", "left")[seed % 2]) for seed in range(first, first + knees))
    reports = (grader.grade(film.pixels) for film in films)
    return [report.knees[0] for report in reports if report.knees]


def main() -> None:
    """Draw, grade, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", help="address; the shipped bundle by default")
    parser.add_argument("--first", type=int, default=FIRST, help=f"first seed of each grade (default {FIRST})")
    parser.add_argument("--knees", type=int, default=KNEES, help=f"knees of each grade (default {KNEES})")
    given = parser.parse_args()
    grader = from_pretrained(given.bundle)
    limits = grader.bundle.config.refusal
    distances, rows = TrainingDistances(limits), []
    for grade in range(NUM_GRADES):
        answers = graded(grader, grade, given.first, given.knees)
        counts = np.bincount([knee.grade for knee in answers], minlength=NUM_GRADES)
        severity = np.mean([knee.severity for knee in answers])
        far = distances(np.array([knee.embedding for knee in answers])) > limits.far_distance
        rows.append((grade, *counts.tolist(), f"{severity:.1f}", int(far.sum())))
    headings = ("drawn", *(f"graded {grade}" for grade in range(NUM_GRADES)), "mean severity", "unlike most films")
    print(markdown_table(headings, rows))


if __name__ == "__main__":
    main()
