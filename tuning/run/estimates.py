"""Estimates are measured numbers with their 95% intervals, as the evidence holds them."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest

from kneeoa_hub.agreement import INTERVAL, confusion, resamples
from kneeoa_hub.evidence import Estimate

Rows = np.ndarray | slice
"""Rows are the indices of a bootstrap sample, or all of them."""


def exact(value: float, n: int = 0) -> Estimate:
    """Return a number without an interval; n: number of films, or of what else was counted."""
    return Estimate(float(value), float(value), float(value), int(n))


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """Return a measured number with its 95% interval, from NumPy's numbers or Python's.

    Args:
        value: The number.
        low: The lower end of the interval.
        high: The upper end of the interval.
        n: The number of films that were measured.
    """
    return Estimate(float(value), float(low), float(high), int(n))


def bootstrapped(measure: Callable[[Rows], float], samples: Sequence[np.ndarray], n: int) -> Estimate:
    """Return a measure of all rows with its 95% interval by bootstrap.

    Args:
        measure: Called with the rows to measure on.
        samples: Row indices of bootstrap samples, see `agreement.resamples`.
        n: Number of rows.
    """
    low, high = np.percentile([measure(rows) for rows in samples], INTERVAL)
    return estimate(measure(slice(None)), low, high, n)


def proportion(successes: Sequence[bool] | np.ndarray) -> Estimate:
    """Return the proportion of [N] bool that is true with its 95% interval (Wilson, J. Am. Stat. Assoc. 1927)."""
    if not len(successes):
        return exact(0.0)
    interval = binomtest(int(sum(successes)), len(successes)).proportion_ci(0.95, "wilson")
    return estimate(sum(successes) / len(successes), interval.low, interval.high, len(successes))


def grouped_proportion(successes: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """Return the proportion of successes with its 95% interval by bootstrap over groups.

    A proportion of 0 or 1, which a bootstrap would call certain, has the interval of `proportion`.

    Args:
        successes: One bool for each film [N].
        groups: The leakage group of each film [N].
        seed: Seed of the bootstrap.
    """
    if successes.all() or not successes.any():
        return proportion(successes)
    return bootstrapped(lambda rows: float(successes[rows].mean()), resamples(groups, seed), len(successes))


def balanced_accuracy(truth: np.ndarray, grade: np.ndarray) -> float:
    """Return the mean recall of the grades that occur in `truth` [N].

    It equals scikit-learn's, of which one call takes 1 ms: too long for a bootstrap, which calls it a thousand times
    for every set of films.
    """
    counts = confusion(truth, grade)
    present = counts.sum(1) > 0
    return float((counts.diagonal()[present] / counts.sum(1)[present]).mean())
