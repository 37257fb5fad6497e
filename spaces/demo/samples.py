"""Draws synthetic films and grades them, so that a visitor sees a result before sending a film."""

from kneeoa_hub import FilmReport, KneeGrader
from kneeoa_hub.imaging.phantom import Phantom, knee_film

FIRST = "moderate"
"""The page shows this sample first."""
NOTE = (
    "This film is synthetic: a program has drawn it to show how the demo works. A name such as Mild says which"
    " grade was drawn. The model has learnt from films of patients, so its grade of a drawing says nothing about its"
    " grades of patients."
)
PAIR_NOTE = (
    "These two films are synthetic. A program has drawn one knee, before and after it became worse, to show how the"
    " demo works. The pair was chosen so that the model sees the difference."
)
SCALE_SEED = 11
PATIENT_SEEDS = range(44, 64)
"""These patients are tried for the pair. Each delays the start by two films. The shipped model takes the first one."""
SCALE_SIDE, PATIENT_SIDE = 320, 448


def title_of(name: str) -> str:
    """Return the name of a sample in words."""
    return "16-bit file" if name == "sixteen-bit" else name.replace("-", " ").capitalize()


def scale_films() -> tuple[Phantom, ...]:
    """Return one knee at each grade, with the same build, pose and exposure, so that only the grade differs."""
    return tuple(knee_film(grade, SCALE_SEED, height=SCALE_SIDE, width=SCALE_SIDE) for grade in range(5))


def then_and_now(grader: KneeGrader) -> tuple[FilmReport, FilmReport]:
    """Return the answers for one knee before and after it became worse.

    It is the first knee for which the two prediction sets have no common grade, or otherwise the last one tried.
    """
    *seeds, last = PATIENT_SEEDS
    for seed in seeds:
        pair = _graded(grader, 1, seed), _graded(grader, 4, seed)
        if _apart(*pair):
            return pair
    return _graded(grader, 1, last), _graded(grader, 4, last)


def _graded(grader: KneeGrader, grade: int, seed: int) -> FilmReport:
    return grader.grade(knee_film(grade, seed, height=PATIENT_SIDE, width=PATIENT_SIDE).pixels)


def _apart(then: FilmReport, now: FilmReport) -> bool:
    return bool(then.knees and now.knees) and not set(then.knees[0].grade_set) & set(now.knees[0].grade_set)
