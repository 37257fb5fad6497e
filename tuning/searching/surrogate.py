"""A Gaussian process over finished trials says which point of the search space is worth the next trial.

Keras Tuner's own process places the values of a choice on a line and treats each measure as exact. Many choices of this
search space have no order, and two trainings of one network differ. The price is that this process does not know that a
size of 128 lies between 96 and 160.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEAST_VARIANCE = 1e-9
"""A candidate has at least this variance, so that nothing is divided by zero."""


def one_hot(space: Sequence[Any], values: Mapping[str, Any]) -> list[float]:
    """Return a point with a number for each value of each choice: 1 for its own, 0 for the others.

    A choice that the point does not have has 0 for all of its values.

    Args:
        space: The choices, as Keras Tuner holds them.
        values: The point's value of each choice.
    """
    return [float(values.get(choice.name) == value) for choice in space for value in choice.values]


def most_promising(
    tried: np.ndarray, scores: np.ndarray, running: np.ndarray, candidates: np.ndarray, seed: int
) -> int:
    """Return the row of the candidate whose expected improvement on the best point is greatest.

    The scores are replaced by the normal quantiles of their ranks: a training that diverged says only that its point is
    bad. A point in training counts as if it had the score that is expected of it, so that the next one differs.
    Expected improvement: Jones et al., J. Global Optim. 1998.

    Args:
        tried: [N,D] points whose training has ended.
        scores: [N] their measures; lower is better, and infinite where the training failed.
        running: [R,D] points in training.
        candidates: [M,D] points to choose from.
        seed: Seed of the fit.
    """
    from scipy.stats import norm, rankdata
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel() * Matern(2.0, (0.5, 20.0), nu=2.5) + WhiteKernel(0.3, (0.01, 3.0))
    process: Any = GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=seed)
    quantiles = norm.ppf((rankdata(scores) - 0.5) / len(scores))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few trials do not determine the kernel
        process.fit(tried, quantiles)
    if len(running):
        known, quantiles = np.concatenate([tried, running]), np.concatenate([quantiles, process.predict(running)])
        process = process.set_params(kernel=process.kernel_, optimizer=None).fit(known, quantiles)
    mean, deviation = process.predict(candidates, return_std=True)
    # The noise of a training is no part of what a network may reach.
    deviation = np.sqrt(np.maximum(deviation**2 - process.kernel_.k2.noise_level, LEAST_VARIANCE))
    better = (process.predict(tried).min() - mean) / deviation
    return int(np.argmax(deviation * (better * norm.cdf(better) + norm.pdf(better))))
