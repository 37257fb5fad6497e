"""Films are changed in ways that leave a reader able to grade them, to measure how far a bundle's grades hold."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.errors import DataError, KneeOAError
from kneeoa_hub.evidence import ChangeEvidence
from kneeoa_hub.evidence.robustness import AS_IT_IS
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.imaging.film import MIN_SIDE
from kneeoa_hub.knee import KneeGrade

from ..run.estimates import Rows, bootstrapped, grouped_proportion
from .film_changes import CHANGES, Change, Changed, pixels_of
from .metrics import Predictions, measure


@dataclass(frozen=True)
class TrueFilm:
    """This film shows one knee: pixels uint8 [H,W] with bright bone, its grade, and its patient or cluster."""

    pixels: np.ndarray
    grade: int
    group: str


def robustness(
    grader: KneeGrader,
    films: Sequence[TrueFilm],
    changes: Sequence[Change] = CHANGES,
    seed: int = 0,
    progress: Callable[[str], None] = lambda name: None,
) -> Iterator[ChangeEvidence]:
    """Grade the films as they are and under every change.

    Args:
        grader: The bundle's grader; it finds the knees itself.
        films: Films of one knee each.
        changes: Each is applied to every film by itself.
        seed: The seed of the random parts of a change; each film has its own draws, whatever the other changes are.
        progress: Called with the name of each change before it is applied.

    Yields:
        One row a change, the films as they are first. A change is measured on the films that it leaves large enough to
        be read at all, and left out where it leaves none.
    """
    progress(AS_IT_IS)
    before = [_graded(grader, film.pixels) for film in films]
    yield _row(AS_IT_IS, "", films, before, before)
    for change in changes:
        progress(change.name)
        name = zlib.crc32(change.name.encode())
        measured = []
        for index, (film, one) in enumerate(zip(films, before, strict=True)):
            changed = change.apply(film.pixels, np.random.default_rng([seed, name, index]))
            if min(pixels_of(changed).shape) >= MIN_SIDE:
                measured.append((film, one, _graded(grader, changed)))
        if measured:
            yield _row(change.name, change.kind, *zip(*measured, strict=True))


def _graded(grader: KneeGrader, film: Changed) -> KneeGrade | None:
    """Return the film's largest knee, or None where it is refused or can't be read."""
    try:
        knees = grader.grade(film).knees
    except KneeOAError:
        return None
    return max(knees, key=lambda knee: (knee.box[2] - knee.box[0]) * (knee.box[3] - knee.box[1]), default=None)


def _row(
    name: str,
    kind: str,
    films: Sequence[TrueFilm],
    before: Sequence[KneeGrade | None],
    after: Sequence[KneeGrade | None],
) -> ChangeEvidence:
    rows = [
        (film, one, two)
        for film, one, two in zip(films, before, after, strict=True)
        if one is not None and two is not None
    ]
    if not rows:
        raise DataError(f"No film of {len(films)} is graded under the change {name!r}; leave it out with --kind.")
    groups = np.array([film.group for film, _, _ in rows], str)
    truth, grade_before, grade = np.array([(film.grade, one.grade, two.grade) for film, one, two in rows], int).T
    predictions = Predictions(
        truth,
        grade,
        np.array([knee.probabilities for _, _, knee in rows], float).reshape(len(rows), -1),
        np.array([film.grade in knee.grade_set for film, _, knee in rows], bool),
        np.array([len(knee.grade_set) for _, _, knee in rows], int),
        groups,
    )
    shift = np.array([two.severity - one.severity for _, one, two in rows], float)
    gradable = [
        (film.group, two is None) for film, one, two in zip(films, before, after, strict=True) if one is not None
    ]
    film_groups, refused = map(np.array, zip(*gradable, strict=True))

    def loss(sample: Rows) -> float:
        return qwk(truth[sample], grade_before[sample]) - qwk(truth[sample], grade[sample])

    return measure(
        ChangeEvidence,
        predictions,
        change=name,
        kind=kind,
        qwk_loss=bootstrapped(loss, resamples(groups), len(rows)),
        same=grouped_proportion(grade == grade_before, groups),
        bias=bootstrapped(lambda sample: float(shift[sample].mean()), resamples(groups), len(rows)),
        refused=grouped_proportion(refused, film_groups),
    )
