"""Makes the warnings about a film that is graded in spite of doubts."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..bundle import RefusalConfig
from .compression import COMPRESSED, WARNED_QUALITY, quality_at_joint
from .letterbox import Letterboxed
from .refusal import clipped_proportion
from .screen import Screening

WIDE_SET = 4
"""A prediction set of at least four of the five grades says almost nothing."""
FORCED = "The film was graded by force although it was refused; do not rely on the grade."
"""A refused film that the caller wanted to have graded gets this warning."""
SUPPORTED = (
    "It was hard to recognise as a knee, and was graded because another knee lies beside it; look for metal and for"
    " poor exposure before you rely on its grade."
)
"""A knee that is accepted because of the knee beside it gets this warning."""


def doubts(
    screening: Screening,
    names: Sequence[str],
    set_sizes: Sequence[int],
    distances: np.ndarray,
    letterboxed: Sequence[Letterboxed],
    limits: RefusalConfig,
) -> tuple[str, ...]:
    """Collect the warnings about a graded film. If it has several knees, a warning begins with the name of its knee.

    Args:
        screening: How its knees were found.
        names: The name of each knee, such as "Right knee".
        set_sizes: Number of grades in the prediction set of each knee.
        distances: How far each knee lies from the training knees, see `refusal.training_distances`.
        letterboxed: What the network saw of each knee.
        limits: The bundle's limits.

    Returns:
        Sentences for the reader of the grades.
    """
    warnings = _of_screening(screening)
    knees = zip(screening.boxes, names, set_sizes, distances, letterboxed, strict=True)
    for box, name, size, distance, seen in knees:
        about = f"{name}: " if len(names) > 1 else ""
        if box in screening.supported:
            warnings.append(about + SUPPORTED)
        warnings += [about + text for text in _of_knee(size, distance, seen, limits, alone=not about)]
    return tuple(warnings)


def _of_knee(set_size: int, distance: float, seen: Letterboxed, limits: RefusalConfig, *, alone: bool) -> Iterator[str]:
    """Yield the warnings about one knee. A film whose only knee is too unlike a knee is refused instead."""
    if distance > limits.max_distance and not alone:
        yield "It is unlike the knees that the model knows; do not rely on its grade."
    elif limits.far_distance is not None and distance > limits.far_distance:
        what = "film is unlike most films" if alone else "knee is unlike most knees"
        yield (f"The {what} that the model learnt from; its grade is less certain than the published figures say.")
    clipped = clipped_proportion(seen.exposed())
    if limits.max_clipped is not None and clipped > limits.max_clipped:
        yield f"The exposure is extreme: {clipped:.0%} of the knee is plain black or white, and shows no detail there."
    if set_size >= WIDE_SET:
        yield "The grade is uncertain; almost no grade can be ruled out. A reader should look at the film."


def _of_screening(screening: Screening) -> list[str]:
    turns, inverted = screening.pose
    count, warnings = len(screening.doubtful), []
    if turns:
        warnings.append(f"The film was turned by {90 * min(turns, 4 - turns)} degrees; it was graded upright.")
    if inverted:
        warnings.append("The grays of the film were inverted; it was graded with bright bone.")
    film = screening.film
    if film.quality is not None and quality_at_joint(film.quality, *film.as_given.shape) < WARNED_QUALITY:
        warnings.append(COMPRESSED.format(quality=film.quality))
    if count and set(screening.doubtful) <= set(screening.boxes):
        warnings.append(f"No upright frontal knee was recognised in {count} of the given boxes; graded as asked.")
    elif count:
        warnings.append(f"No upright frontal knee was recognised in {count} of the regions found; left out.")
    return warnings
