"""Doubts: the warnings about a film that is graded in spite of them."""

from collections.abc import Sequence

import numpy as np

from ..bundle import RefusalConfig
from .letterbox import Letterboxed
from .refusal import clipped_proportion
from .screen import Screening

WIDE_SET = 4
"""Number of grades from which a prediction set says almost nothing: there are five."""
FORCED = "The film was graded by force although it was refused; do not rely on the grade."
"""The warning about a refused film that the caller wanted to have graded."""


def doubts(
    screening: Screening,
    widest_set: int,
    distances: np.ndarray,
    letterboxed: Sequence[Letterboxed],
    limits: RefusalConfig,
) -> tuple[str, ...]:
    """Collect the warnings about a graded film.

    Args:
        screening: How its knees were found.
        widest_set: Number of grades in the largest prediction set of its knees.
        distances: How far each knee lies from the training knees, see `refusal.training_distances`.
        letterboxed: What the network saw of each knee.
        limits: The bundle's limits.

    Returns:
        Sentences for the reader of the grades.
    """
    warnings = _of_screening(screening)
    if distances.max() > limits.max_distance and not distances.min() > limits.max_distance:
        warnings.append("One of the knees is unlike the knees that the model knows; do not rely on its grade.")
    elif limits.far_distance is not None and distances.max() > limits.far_distance:
        warnings.append(
            "The film is unlike most films that the model learnt from; its grade is less certain than the published"
            " figures say."
        )
    clipped = max(clipped_proportion(_content(one)) for one in letterboxed)
    if limits.max_clipped is not None and clipped > limits.max_clipped:
        warnings.append(
            f"The exposure is extreme: {clipped:.0%} of the knee is plain black or white, and shows no detail there."
        )
    if widest_set >= WIDE_SET:
        warnings.append("The grade is uncertain: almost no grade can be ruled out. A reader should look at the film.")
    return tuple(warnings)


def _of_screening(screening: Screening) -> list[str]:
    turns, inverted = screening.pose
    count, warnings = len(screening.doubtful), []
    if turns:
        warnings.append(f"The film was turned by {90 * min(turns, 4 - turns)} degrees; it was graded upright.")
    if inverted:
        warnings.append("The grays of the film were inverted; it was graded with bright bone.")
    if count and set(screening.doubtful) <= set(screening.boxes):
        warnings.append(f"No upright frontal knee was recognised in {count} of the given boxes; graded as asked.")
    elif count:
        warnings.append(f"No upright frontal knee was recognised in {count} of the regions found; left out.")
    return warnings


def _content(fitted: Letterboxed) -> np.ndarray:
    left, top, right, bottom = fitted.content
    return fitted.pixels[top:bottom, left:right]
