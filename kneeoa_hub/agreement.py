"""Measures how well two gradings of the same knees agree, with an interval."""

import numpy as np

from .grades import NUM_GRADES

RESAMPLES = 1000
"""An interval is computed from a thousand bootstrap samples."""
INTERVAL = (2.5, 97.5)
"""These percentiles of the resampled values bound a 95% interval."""


def confusion(truth: np.ndarray, grade: np.ndarray) -> np.ndarray:
    """Return [5,5] counts of two [N] arrays of grades 0..4; rows are the first, columns the second."""
    return np.bincount(truth * NUM_GRADES + grade, minlength=NUM_GRADES**2).reshape(NUM_GRADES, NUM_GRADES)


def qwk(truth: np.ndarray, grade: np.ndarray) -> float:
    """Return the quadratic weighted kappa of two [N] arrays of grades, -1 to 1.

    It is 0 when both arrays hold the same single grade. Cohen, Psychol. Bull. 1968;70:213.
    """
    counts = confusion(truth, grade)
    weights = np.subtract.outer(np.arange(NUM_GRADES), np.arange(NUM_GRADES)) ** 2
    expected = (weights * np.outer(counts.sum(1), counts.sum(0))).sum() / counts.sum()
    return float(1 - (weights * counts).sum() / expected) if expected else 0.0


def resamples(groups: np.ndarray, seed: int = 0, count: int = RESAMPLES) -> list[np.ndarray]:
    """Return the rows of bootstrap samples that draw whole groups with replacement.

    Args:
        groups: [N] group of each row. Films of one patient are not independent, so they are drawn together.
        seed: Seed of the draws.
        count: Number of samples.
    """
    _, index = np.unique(groups, return_inverse=True)
    order = np.argsort(index, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(index))[:-1])
    rng = np.random.default_rng(seed)
    return [np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(count)]


def qwk_interval(truth: np.ndarray, grade: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of `qwk` by bootstrap over groups.

    Args:
        truth: [N] grades 0..4.
        grade: [N] grades 0..4 of the same knees.
        groups: [N] what is drawn together, such as the film of each knee.
    """
    low, high = np.percentile([qwk(truth[rows], grade[rows]) for rows in resamples(groups)], INTERVAL)
    return float(low), float(high)
