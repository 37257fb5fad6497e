"""Grades synthetic films once, when the demo starts, so that a visitor sees a result before sending a film."""

from dataclasses import dataclass

from kneeoa_hub import FilmReport, KneeGrader
from kneeoa_hub.imaging.phantom import Phantom, knee_film, sample_films

FIRST = "moderate"
"""The sample that the page shows first."""
NOTE = (
    "This film is synthetic: a program has drawn it to show how the demo works. Its name says which grade was drawn."
    " The model has learnt from films of patients, so its grade of a drawing says nothing about its grades of patients."
)
PAIR_NOTE = (
    "These two films are synthetic. A program has drawn one knee, before and after it became worse, to show how the"
    " demo works. The pair was chosen so that the model sees the difference."
)
SCALE_SEED = 11
PATIENT_SEEDS = range(11, 31)
"""Patients who are tried for the pair. Each delays the start by two films; the shipped model takes the first one."""
SCALE_SIDE, PATIENT_SIDE = 320, 448


@dataclass(frozen=True)
class Sample:
    """A synthetic film with its answer.

    Attributes:
        title: Its name in words.
        film: The drawing.
        report: The answer of the model.
    """

    title: str
    film: Phantom
    report: FilmReport


def graded_samples(grader: KneeGrader) -> dict[str, Sample]:
    """Return the named films of the package, each with its answer."""
    return {
        name: Sample(name.replace("-", " ").capitalize(), film, grader.grade(film.pixels))
        for name, film in sample_films().items()
    }


def scale_films() -> tuple[Phantom, ...]:
    """Return one knee at each grade, with the same build, pose and exposure, so that only the grade differs."""
    return tuple(knee_film(grade, SCALE_SEED, height=SCALE_SIDE, width=SCALE_SIDE) for grade in range(5))


def then_and_now(grader: KneeGrader) -> tuple[FilmReport, FilmReport]:
    """Return the answers for one knee before and after it became worse.

    It is the first knee for which the two prediction sets have no common grade, or otherwise the last one tried.
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
