"""Estimates of the evidence: a value with its 95% interval."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from kneeoa_hub.agreement import INTERVAL, confusion, resamples
from kneeoa_hub.evidence import Estimate


def balanced_accuracy(truth: np.ndarray, grade: np.ndarray) -> float:
    """Mean recall of the grades that occur."""
    counts = confusion(truth, grade)
    present = counts.sum(1) > 0
    return float((counts.diagonal()[present] / counts.sum(1)[present]).mean())


def grouped_share(right: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """A proportion of [N] bool with its 95% interval by bootstrap over groups [N]; where it is 0 or 1, with that of
    `share`.
    """
    if right.all() or not right.any():  # of which a bootstrap would say that it is certain
        return share(right)
    drawn = [float(right[rows].mean()) for rows in resamples(groups, seed)]
    return number(float(right.mean()), *np.percentile(drawn, INTERVAL), n=len(right))


def number(value: float, low: float | None = None, high: float | None = None, n: int = 0) -> Estimate:
    """Returns an estimate over `n` films; without an interval, low and high are the value itself."""
    return Estimate(float(value), float(value if low is None else low), float(value if high is None else high), int(n))


def share(right: Sequence[bool] | np.ndarray) -> Estimate:
    """A proportion with its 95% interval (Wilson, J. Am. Stat. Assoc. 1927)."""
    if not len(right):
        return number(0.0)
    interval = binomtest(int(sum(right)), len(right)).proportion_ci(0.95, "wilson")
    return number(sum(right) / len(right), interval.low, interval.high, len(right))
