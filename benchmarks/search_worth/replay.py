"""The oracles of a search draw from the networks of a pool, and nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kneeoa_hub.agreement import INTERVAL
from kneeoa_hub.evidence import Estimate

from ..search_scaling import in_memory
from .pool import PART, Pool, Trainings, named_values

if TYPE_CHECKING:
    from tuning.searching.settings import SearchSettings

BOOTSTRAPS = 1000
RANDOM = "random"
"""The others are compared with this tuner."""


@dataclass(frozen=True)
class Curve:
    """A curve is what the best trial so far of one search reaches after each trial: minutes, log loss and kappa."""

    name: str
    seed: int
    minutes: tuple[float, ...]
    log_loss: tuple[float, ...]
    qwk: tuple[float, ...]

    def at(self, minutes: float) -> tuple[float, float]:
        """Return log loss and kappa of the best trial after so many minutes."""
        number = max(0, int(np.searchsorted(self.minutes, minutes, side="right")) - 1)
        return self.log_loss[number], self.qwk[number]


def compared(settings: SearchSettings, shortest: Sequence[int]) -> dict[str, SearchSettings]:
    """Return the settings of each kind of search by its name: Hyperband from rungs of each length, and the others."""
    searches = {
        f"hyperband from {epochs} epoch{'s' * (epochs > 1)}": replace(settings, tuner="hyperband", least_epochs=epochs)
        for epochs in shortest
    }
    return searches | {tuner: replace(settings, tuner=tuner) for tuner in ("bayesian", RANDOM)}


def replayed(pool: Pool, name: str, seed: int, settings: SearchSettings) -> Curve:
    """Return the course of one search among the networks of the pool.

    Args:
        pool: The networks.
        name: Name of the kind of search.
        seed: Seed of the order of random draws, and of the tuner.
        settings: Settings of the search.
    """
    from keras_tuner.engine.trial import TrialStatus

    order = np.random.default_rng(seed).permutation(len(pool.points))
    mine = replace(settings, seed=seed + 1, trials=len(order), iterations=len(order))
    seconds, tried, course = 0.0, set[int](), []
    oracle = _oracle(mine, [pool.points[number] for number in order])
    while len(tried) < len(order) and seconds < 60 * pool.budget:
        trial = oracle.create_trial("tuner")
        if trial.status != TrialStatus.RUNNING:
            break
        values = trial.hyperparameters.values
        epochs = int(values.get("tuner/epochs", settings.epochs))
        promoted = "tuner/trial_id" in values
        number = pool.nearest(values, frozenset() if promoted else tried)
        values.update(pool.points[number])
        tried.add(number)
        measures = pool.measures[number][pool.lengths.index(epochs)]
        seconds += measures["seconds"]
        course.append((seconds / 60, measures["val_log_loss"], measures["val_qwk"]))
        oracle.update_trial(trial.trial_id, {"val_log_loss": measures["val_log_loss"]})
        trial.status = TrialStatus.COMPLETED
        oracle.end_trial(trial)
    best = [min(course[: count + 1], key=lambda one: one[1]) for count in range(len(course))]
    return Curve(
        name,
        seed,
        tuple(minutes for minutes, *_ in course),
        tuple(log_loss for _, log_loss, _ in best),
        tuple(kappa for *_, kappa in best),
    )


def _oracle(settings: SearchSettings, order: list[dict[str, str]]) -> Any:
    """Return an oracle whose random draws are the networks of the pool in this order.

    Bayesian optimisation draws a few of them, and then asks for any point of the search space.
    """
    if settings.tuner != "bayesian":
        return in_memory(settings, order)
    before = max(3, round(len(order) * PART / 3))
    oracle: Any = in_memory(settings, order[:before])
    oracle.num_initial_points = before
    return oracle


def by_hand(trainings: Trainings, settings: SearchSettings, names: Sequence[str]) -> list[Curve]:
    """Train the networks designed by hand as full trials, and return each as a course of one trial.

    Args:
        trainings: What trains them.
        settings: Settings of the searches.
        names: Names out of search_space.NAMED.
    """
    curves = []
    for name in names:
        measures = trainings.train(named_values(name), settings.epochs, settings)
        minutes, log_loss, qwk = (measures[key] for key in ("seconds", "val_log_loss", "val_qwk"))
        curves.append(Curve(name, settings.seed, (minutes / 60,), (log_loss,), (qwk,)))
    return curves


def gains(pool: Pool, curves: Sequence[Curve]) -> dict[str, Estimate]:
    """Return how much lower than random draws each other search ends: the mean over seeds, with its interval.

    Both begin with the same order of random draws, so that seeds are pairs.
    """
    from tuning.run.estimates import estimate

    ends = {(curve.name, curve.seed): curve.at(pool.budget)[0] for curve in curves}
    seeds = sorted({seed for _, seed in ends})
    rng, found = np.random.default_rng(0), {}
    for name in dict.fromkeys(curve.name for curve in curves):
        if name != RANDOM:
            lower = np.array([ends[RANDOM, seed] - ends[name, seed] for seed in seeds])
            means = [lower[rng.integers(0, len(lower), len(lower))].mean() for _ in range(BOOTSTRAPS)]
            low, high = np.percentile(means, INTERVAL)
            found[name] = estimate(float(lower.mean()), low, high, len(seeds))
    return found
