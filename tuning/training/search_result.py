"""What a search leaves for later steps: best.json, and trials.csv with every finished trial."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError, SettingsError

from ..networks.architecture import SEARCH_SPACE, Architecture
from ..run import steps
from .tuners import OBJECTIVE

RESULT = "best.json"
TRIALS = "trials.csv"

LARGEST_SIZE, MOST_SIZES = 4096, 24
"""Most pixels, channels, blocks or units that an architecture of a file may have, and most of these numbers."""


@dataclass(frozen=True)
class Trial:
    """A finished trial of a search.

    Attributes:
        trial: Its number, as Keras Tuner counts.
        val_qwk: Its validation quadratic weighted kappa.
        epochs: Epochs that it was trained for.
        bracket: Hyperband's bracket, or "" with another tuner.
        architecture: The point of the search space.
    """

    trial: str
    val_qwk: float
    epochs: int
    bracket: int | str
    architecture: Architecture

    def row(self) -> dict[str, Any]:
        """Return the trial as a row of trials.csv."""
        choices = {name: getattr(self.architecture, name) for name in SEARCH_SPACE}
        return {"trial": self.trial, OBJECTIVE: self.val_qwk, "epochs": self.epochs, "bracket": self.bracket, **choices}


@dataclass(frozen=True)
class SearchResult:
    """The content of best.json.

    Attributes:
        architecture: The best point of the search space, by name of the choice.
        val_qwk: Its validation quadratic weighted kappa, within the search's short training.
        trials: Number of finished trials.
        tuner: One of tuners.TUNERS.
    """

    architecture: dict[str, Any]
    val_qwk: float
    trials: int
    tuner: str


def read_result(search: Path) -> SearchResult:
    """Return the best.json of a search's folder. Raises DataError when the search has not finished."""
    return steps.typed(SearchResult, steps.read_json(search / RESULT), search / RESULT)


def write_result(search: Path, trials: Sequence[Trial], tuner: str) -> None:
    """Write trials.csv and best.json.

    Args:
        search: The folder of the search.
        trials: The trials, best first.
        tuner: The name of the tuner.
    """
    with (search / TRIALS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(trials[0].row()))
        writer.writeheader()
        writer.writerows(trial.row() for trial in trials)
    best = trials[0]
    steps.write_json(search / RESULT, SearchResult(asdict(best.architecture), best.val_qwk, len(trials), tuner))


def best_architecture(search: Path) -> Architecture:
    """Return the architecture of best.json. Raises DataError when the search has not finished."""
    return parse_architecture(read_result(search).architecture, search / RESULT)


def architecture_of_trial(search: Path, trial: str) -> Architecture:
    """Return the architecture of a finished trial. Raises SettingsError for a trial that trials.csv does not list."""
    try:
        with (search / TRIALS).open(newline="", encoding="utf-8") as file:
            rows = {row["trial"]: row for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{search / TRIALS} can't be read ({error!r}); search again.") from None
    if trial not in rows:
        raise SettingsError(f"--architecture {trial}: {search / TRIALS} has {', '.join(rows)}.")
    choices = {name: {str(value): value for value in SEARCH_SPACE[name]} for name in SEARCH_SPACE}
    # A choice that the search space has gained since has its default in older trials.
    return Architecture(**{name: known[rows[trial][name]] for name, known in choices.items() if name in rows[trial]})


def parse_architecture(choices: Mapping[str, Any], source: Path | str) -> Architecture:
    """Return an architecture from JSON. Raises DataError for a choice that this release does not know."""
    try:
        architecture = Architecture(**choices)
        sizes = (architecture.size, architecture.blocks, *architecture.stages, *architecture.hidden)
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{source}: this release does not know the architecture ({error}); upgrade kneeoa-hub."
        ) from None
    if len(sizes) > MOST_SIZES or not all(isinstance(one, int) and 0 < one <= LARGEST_SIZE for one in sizes):
        raise DataError(f"{source}: the architecture has sizes that no network here has; export it again.")
    return architecture
