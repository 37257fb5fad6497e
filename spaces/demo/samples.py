"""Synthetic films and their answers, made once when the demo starts: a visitor sees a result before sending a film."""

from dataclasses import dataclass

from kneeoa_hub import FilmReport, KneeGrader
from kneeoa_hub.imaging.phantom import Phantom, knee_film, sample_films

FIRST = "moderate"
"""The sample that the page opens with."""
NOTE = (
    "A synthetic film: drawn by a program to show the tool, not to judge it. Its name says what was drawn; the model"
    " has learnt from films of patients, and its grade of a drawing says nothing about those."
)
PAIR_NOTE = (
    "Two synthetic films of one knee, before and after it has got worse: drawn by a program, and chosen so that the"
    " model tells them apart, to show the tool and not to judge it."
)
SCALE_SEED = 11
PATIENT_SEEDS = range(8, 28)
SCALE_SIDE, PATIENT_SIDE = 320, 448


@dataclass(frozen=True)
class Sample:
    """title: in plain words. film: what was drawn. report: what the model found."""

    title: str
    film: Phantom
    report: FilmReport


def graded_samples(grader: KneeGrader) -> dict[str, Sample]:
    """The package's named films, each with its answer."""
    return {
        name: Sample(name.replace("-", " ").capitalize(), film, grader.grade(film.pixels))
        for name, film in sample_films().items()
    }


def scale_films() -> tuple[Phantom, ...]:
    """One knee at each grade: the same build, pose and exposure, so that the grade alone differs."""
    return tuple(knee_film(grade, SCALE_SEED, height=SCALE_SIDE, width=SCALE_SIDE) for grade in range(5))


def then_and_now(grader: KneeGrader) -> tuple[FilmReport, FilmReport]:
    """One knee before and after it has got worse: the first for which no grade is left that both films might have, else
    the last.
    """
    tried = ((_graded(grader, 1, seed), _graded(grader, 4, seed)) for seed in PATIENT_SEEDS)
    return next(
        (pair for pair in tried if _apart(*pair)),
        (_graded(grader, 1, PATIENT_SEEDS[-1]), _graded(grader, 4, PATIENT_SEEDS[-1])),
    )


def _graded(grader: KneeGrader, grade: int, seed: int) -> FilmReport:
    return grader.grade(knee_film(grade, seed, height=PATIENT_SIDE, width=PATIENT_SIDE).pixels)


def _apart(then: FilmReport, now: FilmReport) -> bool:
    return bool(then.knees and now.knees) and not set(then.knees[0].grade_set) & set(now.knees[0].grade_set)
