"""A search that is made after a training tells what the networks of a bundle are worth among others."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kneeoa_hub.bundle import Bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import LaterSearch, TrialOfNetwork

from ..data.summary import read_summary
from ..networks.architecture import Architecture
from ..run import steps
from ..run.estimates import estimate
from ..training.search_result import FOLDER, Trial, parse_architecture, read_result, trial_folder
from .predictions import read_predictions
from .records import read_trials, settings_of
from .space import SCRATCH

OF_TRAINING = ("loss", "learning_rate", "augmentation", "weight_decay", "crop", "reach")
"""Two points of the search space that differ in these choices alone have one network, trained in two ways."""
STANDARD_ERRORS = 1.96
"""An interval of 95% reaches so many standard errors to either side."""


def later_search(bundle: Bundle, search: Path) -> LaterSearch:
    """Return which trials of a search have the networks of a bundle.

    Args:
        bundle: The bundle, which no search found.
        search: The folder of a search that has finished.

    Raises:
        DataError: The search has not finished or is of other films, a search found the bundle, or a network is not
            known, or is none of the longest trials.
    """
    result, settings = read_result(search), settings_of(search)
    if bundle.evidence.search.trials.value:
        raise DataError(f"{bundle.folder} was found by a search, whose report it has; leave --search out.")
    if read_summary(steps.find_input(search, "audit")).fingerprint != bundle.evidence.data.fingerprint:
        raise DataError(f"{search} searched on other films than those of the bundle; search on an audit of the same.")
    trials = read_trials(search / FOLDER, settings)
    longest = [trial for trial in trials if trial.epochs == settings.epochs]
    networks = {
        name: _trial_of(name, parse_architecture(entry["architecture"], bundle.folder), longest, search)
        for entry in bundle.config.members
        if (name := entry.get("name", "member"))
    }
    return LaterSearch(
        tuner=settings.tuner,
        objective=settings.objective,
        trials=len(trials),
        longest=len(longest),
        films=settings.films,
        epochs=settings.epochs,
        networks=networks,
        chosen=result.chosen,
    )


def _trial_of(name: str, network: Architecture, longest: list[Trial], search: Path) -> TrialOfNetwork:
    for place, trial in enumerate(longest, 1):
        if _network(trial.architecture) == _network(network) and trial.val_log_loss is not None:
            films = len(read_predictions(trial_folder(search, trial.trial))[1])
            reach = STANDARD_ERRORS * (trial.log_loss_error or 0)
            loss = estimate(trial.val_log_loss, trial.val_log_loss - reach, trial.val_log_loss + reach, films)
            return TrialOfNetwork(trial=trial.trial, place=place, val_log_loss=loss)
    raise DataError(
        f"The network {name} is none of the longest trials of {search}; search a space that holds it, without"
        " --no-named."
    )


def _network(architecture: Architecture) -> dict[str, Any]:
    left_out = (*OF_TRAINING, *SCRATCH) if architecture.backbone else OF_TRAINING
    return {name: value for name, value in asdict(architecture).items() if name not in left_out}
