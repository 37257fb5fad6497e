"""From probabilities to what is reported: the grade, and the set of grades that can't be ruled out."""

from collections.abc import Sequence

import numpy as np

from .bundle import Decision
from .grades import NUM_GRADES, OSTEOARTHRITIS_FROM


def severity(probabilities: np.ndarray) -> np.ndarray:
    """[...,5] -> [...]: the expected grade, sum of i * p_i, 0 to 4."""
    return probabilities @ np.arange(NUM_GRADES)


def oa_probability(probabilities: np.ndarray) -> np.ndarray:
    """[...,5] -> [...]: p_2 + p_3 + p_4, the probability of radiographic osteoarthritis."""
    return probabilities[..., OSTEOARTHRITIS_FROM:].sum(-1)


def reported_grade(probabilities: np.ndarray, decision: Decision) -> np.ndarray:
    """[...,5] -> [...] int: the grade by the bundle's rule, which may differ from the likeliest."""
    if decision.rule == "argmax":
        return probabilities.argmax(-1)
    return (severity(probabilities)[..., None] > np.asarray(decision.thresholds)).sum(-1)


def nested_masses(probabilities: Sequence[float], grade: int) -> list[tuple[int, float]]:
    """Grades in the order in which the set takes them in, each with the set's mass once it is in.

    The set starts at `grade` and grows by its likelier neighbour, so it is contiguous (ordinal APS: Lu et al.,
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


def grade_set(probabilities: Sequence[float], grade: int, threshold: float) -> tuple[int, ...]:
    """The contiguous grades whose nested mass stays at or under the threshold; always holds `grade`."""
    return tuple(
        sorted(taken for taken, mass in nested_masses(probabilities, grade) if taken == grade or mass <= threshold)
    )
