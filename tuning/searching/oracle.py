"""Keras Tuner's three oracles, made durable, draw the trials of a search; `oracle_of` makes the one of its options."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner as kt
import numpy as np
from keras_tuner.engine import trial as trials

from ..run.steps import SEEDS
from .durable import Durable
from .promotion import promoted
from .settings import FACTOR, SearchSettings, shortest_rung
from .space import Space, hyperparameters
from .state import BayesianState, HyperbandState


class RandomOracle(Durable, kt.oracles.RandomSearchOracle):
    """This oracle draws every trial at random."""


class HyperbandOracle(Durable, kt.oracles.HyperbandOracle):
    """This oracle trains many trials for a short time, and the better ones for longer."""

    kept = HyperbandState

    def __init__(self, min_epochs: int, **options: Any):
        """Prepare the brackets, of which Keras Tuner always begins the first one with a single epoch.

        Args:
            min_epochs: Epochs that no rung is shorter than.
            options: Those of Keras Tuner's oracle.
        """
        super().__init__(**options)
        self.min_epochs = min_epochs
        self._current_bracket = self._get_num_brackets() - 1
        self._brackets = []
        self._start_new_bracket()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial, which goes on from one of the rung before or is drawn at random.

        Where no point is left to draw, the best ones go on from a rung that has fewer than planned.
        """
        found = self._going_on(trial_id) or super().populate_space(trial_id)
        if found["status"] == trials.TrialStatus.RUNNING:
            return found
        return self._going_on(trial_id, filled=False) or found

    def _going_on(self, trial_id: str, filled: bool = True) -> dict[str, Any] | None:
        """Return the values of the next trial that goes on to another rung, or None.

        Args:
            trial_id: The number that it will have.
            filled: Whether its bracket must have all trials of the first rung.
        """
        for bracket in self._brackets:
            number, rounds = bracket["bracket_num"], bracket["rounds"]
            sizes = [self._get_size(number, place) for place in range(len(rounds))]
            if filled and len(rounds[0]) < sizes[0]:
                return None  # it is filled before any trial goes on
            sizes[0] = len(rounds[0])
            if goes_on := promoted(rounds, sizes, self.trials, self.objective.direction == "min"):
                place, best = goes_on
                rounds[place].append({"past_id": best.trial_id, "id": trial_id})
                added = {
                    "tuner/trial_id": best.trial_id,
                    "tuner/epochs": self._get_epochs(number, place),
                    "tuner/initial_epoch": self._get_epochs(number, place - 1),
                    "tuner/bracket": number,
                    "tuner/round": place,
                }
                return {"status": trials.TrialStatus.RUNNING, "values": {**best.hyperparameters.values, **added}}
        return None


class BayesianOracle(Durable, kt.oracles.BayesianOptimizationOracle):
    """This oracle draws a trial where a Gaussian process over the finished ones expects the most."""

    kept = BayesianState

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial.

        A run that was stopped draws on as an unbroken one would. A point that was tried is not tried again.
        """
        self._random_state = np.random.RandomState((self.seed + len(self.trials)) % SEEDS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the process may be certain of a value that all trials share
            drawn = super().populate_space(trial_id)
        if drawn["status"] == trials.TrialStatus.RUNNING and self._duplicate(drawn["values"]):
            return self._random_populate_space()
        return drawn


def oracle_of(settings: SearchSettings, space: Space, first: Sequence[Mapping[str, str]]) -> Durable:
    """Return the oracle of a search.

    Args:
        settings: The options of the search.
        space: Its search space.
        first: Points that are tried before any is drawn.
    """
    common: dict[str, Any] = {
        "objective": settings.metric,
        "hyperparameters": hyperparameters(space),
        "allow_new_entries": False,
        "seed": settings.seed or SEEDS - 1,  # Keras Tuner takes 0 for no seed and draws one of its own
        "max_consecutive_failed_trials": sys.maxsize,  # `most_failed` stops the search
    }
    if settings.tuner == "hyperband":
        oracle: Durable = HyperbandOracle(
            min_epochs=shortest_rung(settings),
            max_epochs=settings.epochs,
            factor=FACTOR,
            hyperband_iterations=settings.iterations,
            **common,
        )
    elif settings.tuner == "random":
        oracle = RandomOracle(max_trials=settings.trials, **common)
    else:
        # By default Keras Tuner draws three trials for every choice before it learns from any.
        before = max(3, len(first), settings.trials // 3)
        oracle = BayesianOracle(max_trials=settings.trials, num_initial_points=before, **common)
    oracle.first, oracle.resumes = first, settings.accelerated
    oracle.verbose = 0  # a line of progress shows the search
    return oracle
