"""The trials of a search that make the ensemble, by one rule.

Only trials of the longest rung count. The rule begins with the trial of the lowest log loss on validation films, after
a temperature was fitted. It adds the trial that lowers the log loss of the mean answer most, as long as that is by
LEAST_GAIN or more, there are at most MOST_MEMBERS, and all of them together have at most MOST_PARAMETERS weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeoa_hub.agreement import qwk
from kneeoa_hub.errors import DataError

from ..training.search_result import Trial, trial_folder
from .predictions import calibrated_losses, read_predictions

LEAST_GAIN = 0.002
"""A further member lowers the log loss by at least this, since a knee takes longer with it."""
MOST_MEMBERS = 3
MOST_PARAMETERS = 7_900_000
"""The members have at most 7.9 million weights together, about 16 MB in half precision, as a bundle stores them."""


@dataclass(frozen=True)
class Chosen:
    """A chosen trial, and what the mean answer of it and of those chosen before it reaches on validation films."""

    trial: Trial
    log_loss: float
    qwk: float


@dataclass(frozen=True)
class Ensemble:
    """The ensemble of a search.

    Attributes:
        chosen: Its trials, in the order of the rule above; none where no answers can be read.
        left_out: Why each trial is left out whose answers are missing or damaged, or that is too large by itself.
    """

    chosen: list[Chosen]
    left_out: list[str]


def choose(trials: Sequence[Trial], search: Path) -> Ensemble:
    """Choose the trials that make the ensemble. A trial that can't be chosen is left out, and named.

    Args:
        trials: The finished trials of a search.
        search: Its folder.
    """
    kept, faults = _read(trials, search)
    left_out = [
        f"Trial {name} is left out of the ensemble. {why} It can be trained in full by its number."
        for name, why in faults.items()
    ]
    chosen: list[Chosen] = []
    while len(chosen) < MOST_MEMBERS:
        members = [one.trial for one in chosen]
        found = [
            _together([*members, trial], kept) for trial in kept if trial not in members and _fits([*members, trial])
        ]
        best = min(found, key=lambda one: (one.log_loss, one.trial.trial), default=None)
        if best is None or (chosen and chosen[-1].log_loss - best.log_loss < LEAST_GAIN):
            break
        chosen.append(best)
    return Ensemble(chosen, left_out)


def _read(trials: Sequence[Trial], search: Path) -> tuple[dict[Trial, tuple[np.ndarray, np.ndarray]], dict[str, str]]:
    """Read the answers of the trials of the longest rung; also say by number why a trial can't be chosen."""
    longest = max((trial.epochs for trial in trials), default=0)
    kept, faults = {}, {}
    for trial in trials:
        if trial.epochs == longest:
            try:
                answers = read_predictions(trial_folder(search, trial.trial))
                if _fits([trial]):
                    kept[trial] = answers
                else:
                    faults[trial.trial] = (
                        f"It has {trial.parameters:,} parameters, and the members have at most {MOST_PARAMETERS:,}"
                        " together."
                    )
            except DataError as error:
                faults[trial.trial] = error.message
    return kept, faults


def _together(trials: Sequence[Trial], kept: dict[Trial, tuple[np.ndarray, np.ndarray]]) -> Chosen:
    """Measure the mean answer of some trials, of which the last one is new."""
    mean, truth = np.mean([kept[trial][0] for trial in trials], axis=0), kept[trials[0]][1]
    return Chosen(trials[-1], float(calibrated_losses(mean, truth).mean()), qwk(truth, mean.argmax(1)))


def _fits(trials: Sequence[Trial]) -> bool:
    """Whether trials can be one ensemble: their inputs are made in one way, and they are not too large together."""
    ways = {(trial.architecture.input.crop, trial.architecture.input.reach) for trial in trials}
    return len(ways) == 1 and sum(trial.parameters or 0 for trial in trials) <= MOST_PARAMETERS
