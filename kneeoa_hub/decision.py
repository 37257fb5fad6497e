"""Turns probabilities into what is reported: a grade and its prediction set."""

import math
from collections.abc import Sequence

import numpy as np

from .bundle import Conformal, Decision
from .grades import NUM_GRADES, OSTEOARTHRITIS_FROM

MEDIAN = 0.5
"""The rule "median" reports the first grade at which the cumulative probability reaches this value."""


def severity(probabilities: np.ndarray) -> np.ndarray:
    """Return the expected grade of probabilities [...,5]: the sum of i * p_i, 0 to 4."""
    return probabilities @ np.arange(NUM_GRADES)


def oa_probability(probabilities: np.ndarray) -> np.ndarray:
    """Return p_2 + p_3 + p_4 of probabilities [...,5]: the probability of radiographic osteoarthritis."""
    return probabilities[..., OSTEOARTHRITIS_FROM:].sum(-1)


def reported_grade(probabilities: np.ndarray, decision: Decision) -> np.ndarray:
    """Return the grades of probabilities [...,5] by the bundle's rule. They may differ from the likeliest grades."""
    if decision.rule == "argmax":
        return probabilities.argmax(-1)
    if decision.rule == "median":
        return (probabilities.cumsum(-1)[..., :-1] < MEDIAN).sum(-1)
    return (severity(probabilities)[..., None] > np.asarray(decision.thresholds)).sum(-1)


def threshold_rank(films: int, level: float) -> int:
    """Return which score of N calibration films, in ascending order, is the threshold of a coverage level.

    It is the ceil((N+1)*level)-th (Vovk et al., 2005). The films are too few for the level where that is more than N.
    """
    return math.ceil(round((films + 1) * level, 9))  # rounded, because 0.95 is not a binary fraction


def nested_masses(probabilities: Sequence[float], grade: int) -> list[tuple[int, float]]:
    """Return the grades in the order in which a prediction set takes them in, each with the set's mass so far.

    The set starts at `grade` and takes in its more probable neighbour, so it is contiguous (ordinal APS: Lu et al.,
    MICCAI 2022).
    """
    low = high = grade
    mass = float(probabilities[grade])
    order = [(grade, mass)]
    while high - low < NUM_GRADES - 1:
        below = probabilities[low - 1] if low > 0 else -1.0
        above = probabilities[high + 1] if high < NUM_GRADES - 1 else -1.0
        if above >= below:
            high, taken = high + 1, high + 1
        else:
            low, taken = low - 1, low - 1
        mass += float(probabilities[taken])
        order.append((taken, mass))
    return order


def grade_set(probabilities: Sequence[float], grade: int, conformal: Conformal) -> tuple[int, ...]:
    """Return the prediction set of a knee, in ascending order and without a gap.

    Args:
        probabilities: Five probabilities that sum to 1.
        grade: The reported grade, which the set always holds.
        conformal: How prediction sets are made, at the wanted level.
    """
    held = [
        taken
        for taken, mass in nested_masses(probabilities, grade)
        if taken == grade or mass <= conformal.thresholds[taken] or probabilities[taken] >= conformal.always
    ]
    return tuple(range(min(held), max(held) + 1))
