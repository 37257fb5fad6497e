"""A surrogate predicts the trials, with and without each choice, to show on which choices they depend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..networks.search_space import RECIPES, SEARCH_SPACE
from ..training.search_result import Trial
from .space import DEPENDENT

LEAST_TRIALS = 10
"""With fewer finished trials, no surrogate is fitted."""
TREES, REPEATS = 100, 10
"""The surrogate has TREES trees, and the values of each choice are permuted REPEATS times."""


@dataclass(frozen=True)
class Importance:
    """The importance of a choice is how much depends on it.

    Attributes:
        explained: Proportion of the variance between trials that the surrogate explains for trials that it was not
            fitted to; below 0 it knows less than their mean.
        choices: Name of each choice that varies, its importance and the deviation of that, the greatest first: by how
            much the mean error of the surrogate grows when the values of the choice are exchanged between trials, in
            units of the objective.
    """

    explained: float
    choices: tuple[tuple[str, float, float], ...]


def importance(trials: Sequence[Trial], objective: str) -> Importance | None:
    """Return the importance of the choices by a random forest (Breiman, Mach. Learn. 2001); None of too few trials.

    Args:
        trials: Finished trials. The number of epochs counts as a choice.
        objective: A key of settings.OBJECTIVES.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    varied = varied_choices(trials)
    if len(trials) < LEAST_TRIALS or not varied:
        return None
    columns = [(name, sorted_values(trials, name)) for name in varied]
    x = np.array([[values.index(value_of(trial, name)) for name, values in columns] for trial in trials], float)
    y = np.array([trial.result(objective) for trial in trials])
    forest = RandomForestRegressor(TREES, oob_score=True, min_samples_leaf=2, random_state=0).fit(x, y)
    found = permutation_importance(forest, x, y, n_repeats=REPEATS, random_state=0, scoring="neg_mean_absolute_error")
    rows = zip(varied, found["importances_mean"].tolist(), found["importances_std"].tolist(), strict=True)
    return Importance(float(forest.oob_score_), tuple(sorted(rows, key=lambda row: -row[1])))


def varied_choices(trials: Sequence[Trial]) -> list[str]:
    """Return the choices that differ between the trials that have them, the number of epochs among them."""
    names = ["epochs", *SEARCH_SPACE, *RECIPES, "teacher"]
    return [name for name in names if len({value_of(trial, name) for trial in trials} - {None}) > 1]


def value_of(trial: Trial, name: str) -> Any:
    """Return a trial's value of a choice, or its epochs or teacher; None for a choice that it does not have.

    A network with a backbone has no stem and stages of its own.
    """
    if name in RECIPES:
        return getattr(trial.recipe, name, None)
    if name in DEPENDENT and getattr(trial.architecture, DEPENDENT[name][0]) != DEPENDENT[name][1]:
        return None
    return getattr(trial, name) if name in ("epochs", "teacher") else getattr(trial.architecture, name)


def shown(value: Any) -> str:
    """Return a value of `value_of` as text: "none" for a value that stands for none, "-" for a missing choice."""
    return "-" if value is None else str(value) or "none"


def sorted_values(trials: Sequence[Trial], name: str) -> list[Any]:
    """Return the values of a choice that trials have: numbers by size, others as the search space lists them.

    Teachers, which it does not list, are in the order of their addresses; no teacher, and None, come first.
    """

    def place(value: Any) -> tuple[float, str]:
        if value is None:
            return -1.0, ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value), ""
        return (float(SEARCH_SPACE[name].index(value)), "") if name in SEARCH_SPACE else (-1.0, str(value or ""))

    return sorted({value_of(trial, name) for trial in trials}, key=place)
