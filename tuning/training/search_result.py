"""A search leaves best.json and trials.csv, with every finished trial, for later steps."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.files import replacing
from kneeoa_hub.typed_json import from_json

from ..networks.architecture import Architecture
from ..networks.search_space import SEARCH_SPACE, Recipe
from ..run import steps

RESULT = "best.json"
TRIALS = "trials.csv"
FOLDER = "tuner"
"""Keras Tuner's folder in that of a search has a folder for each trial."""
CHOSEN = "chosen"
"""This stands for the trials that make the ensemble, in place of an architecture's name."""
STATES = "states"
"""This folder of a search on an accelerator keeps the state of each point's training, until the search ends."""

LARGEST_SIZE, MOST_SIZES = 4096, 24
"""An architecture of a file may have at most LARGEST_SIZE pixels, channels, blocks or units, and at most MOST_SIZES of
these numbers."""


@dataclass(frozen=True)
class Trial:
    """A trial of a search has finished. A measure is None where it was not taken.

    Attributes:
        trial: Its number, as Keras Tuner counts.
        val_log_loss: Its log loss on validation films, after a temperature was fitted on them.
        log_loss_error: The standard error of `val_log_loss`, by bootstrap over leakage groups.
        val_qwk: Its validation quadratic weighted kappa, of the likeliest grade.
        qwk_error: The standard error of `val_qwk`.
        epochs: Epochs that it was trained for.
        bracket: Hyperband's bracket, or "" with another tuner.
        parameters: Number of the network's weights.
        bytes: Size of its ONNX graph; of the longest trials only.
        milliseconds: Time that the graph takes for one film on one thread; of the longest trials only.
        seconds: Time of its training.
        ended: When it ended, in seconds since 1970.
        architecture: The point of the search space.
        teacher: Address of the bundle whose answers were half of its target; "" for none.
        folds_log_loss: Its log loss on training films that it was not trained on, mean over folds.
        folds_log_loss_error: The standard error of that mean, by the deviation over folds.
        folds_qwk: Its quadratic weighted kappa on the same films, mean over folds.
        folds_qwk_error: The standard error of that mean.
        recipe: The choices of its training, in a search on an accelerator.
    """

    trial: str
    val_log_loss: float | None
    log_loss_error: float | None
    val_qwk: float
    qwk_error: float | None
    epochs: int
    bracket: int | str
    parameters: int | None
    bytes: int | None
    milliseconds: float | None
    seconds: float | None
    ended: float | None
    architecture: Architecture
    teacher: str = ""
    folds_log_loss: float | None = None
    folds_log_loss_error: float | None = None
    folds_qwk: float | None = None
    folds_qwk_error: float | None = None
    recipe: Recipe | None = None

    def result(self, objective: str) -> float:
        """Return its mean over folds where it was trained on them, otherwise its measure on validation films."""
        folds: float | None = getattr(self, f"folds_{objective}")
        return getattr(self, f"val_{objective}") if folds is None else folds

    def row(self) -> dict[str, Any]:
        """Return the trial as a row of trials.csv."""
        measures = {
            name: value for name, value in vars(self).items() if name not in ("architecture", "teacher", "recipe")
        }
        return measures | self.choices()

    def choices(self) -> dict[str, Any]:
        """Return its values of all choices; teacher and recipe only where it has one."""
        teacher = {"teacher": self.teacher} if self.teacher else {}
        recipe = asdict(self.recipe) if self.recipe else {}
        return {name: getattr(self.architecture, name) for name in SEARCH_SPACE} | recipe | teacher


@dataclass(frozen=True)
class SearchResult:
    """The file best.json holds these values.

    Attributes:
        architecture: The best point of the search space, by name of the choice.
        val_qwk: Its validation quadratic weighted kappa, within the search's short training.
        trials: Number of finished trials.
        tuner: One of settings.TUNERS.
        objective: What the search optimised, "log_loss" or "qwk", as earlier releases did.
        val_log_loss: The validation log loss of the best point.
        teacher: Address of the bundle whose answers were half of its target; "" for none.
        chosen: Numbers of the trials that make the ensemble, see `searching.choice`; earlier releases chose none.
        left_out: Why trials were left out of the ensemble; earlier releases did not record it.
    """

    architecture: dict[str, Any]
    val_qwk: float
    trials: int
    tuner: str
    objective: str = "qwk"
    val_log_loss: float | None = None
    teacher: str = ""
    chosen: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_result(search: Path) -> SearchResult:
    """Return the best.json of a search's folder. Raises DataError when the search has not finished."""
    return steps.typed(SearchResult, steps.read_json(search / RESULT), search / RESULT)


def write_trials(folder: Path, trials: Sequence[Trial]) -> None:
    """Write trials.csv; trials: best first."""
    rows = [trial.row() for trial in trials]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(folder / TRIALS) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_result(
    search: Path,
    trials: Sequence[Trial],
    tuner: str,
    objective: str,
    chosen: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> None:
    """Write trials.csv and best.json.

    Args:
        search: Output folder of the search.
        trials: The finished trials, best first.
        tuner: One of settings.TUNERS.
        objective: One of settings.OBJECTIVES.
        chosen: Numbers of the trials that make the ensemble.
        left_out: Why trials were left out of it.
    """
    write_trials(search, trials)
    best = trials[0]
    result = SearchResult(
        asdict(best.architecture),
        best.val_qwk,
        len(trials),
        tuner,
        objective,
        best.val_log_loss,
        best.teacher,
        tuple(chosen),
        tuple(left_out),
    )
    steps.write_json(search / RESULT, result)


def trial_folder(search: Path, trial: str) -> Path:
    """Return the folder of a trial in that of its search."""
    return search / FOLDER / f"trial_{trial}"


def chosen_trials(search: Path) -> tuple[str, ...]:
    """Return the trials that make the ensemble. Raises DataError when the search has not finished, or chose none."""
    result = read_result(search)
    if not result.chosen:
        why = result.left_out[0] if result.left_out else "Its trials left no answers for validation films."
        raise DataError(f"{search} has chosen no trials. {why} Search again, or name trials by their numbers.")
    return result.chosen


def kept_member(search: Path, trial: str) -> Path:
    """Return the weights of a trial of full length, which a search on a pack keeps.

    Raises DataError where it has left none.
    """
    path = trial_folder(search, trial) / f"{member_name(trial)}.npz"
    if not path.is_file():
        way = f"tuning train --architecture {CHOSEN}"
        if steps.settings_of(search).get("accelerated"):
            way = f"tuning.training.accelerated --search {search}"
        raise DataError(
            f"Trial {trial} of {search} left no weights to join: only a search on a pack keeps some, of its trials of"
            f" full length. `python -m {way}` trains the chosen trials."
        )
    return path


def member_name(trial: str) -> str:
    """Return the name that a trial has as a member: that of its architecture in a training with the seed 0."""
    return f"{trial}-0"


def best_architecture(search: Path) -> Architecture:
    """Return the architecture of best.json. Raises DataError when the search has not finished."""
    return parse_architecture(read_result(search).architecture, search / RESULT)


def teacher_of_trial(search: Path, trial: str) -> str:
    """Return the teacher that a finished trial was drawn with; "" for none. Raises as `architecture_of_trial` does."""
    return row_of_trial(search, trial).get("teacher", "")


def row_of_trial(search: Path, trial: str) -> dict[str, str]:
    """Return the row of a finished trial in trials.csv.

    Raises DataError where the file can't be read, and SettingsError for a trial that it does not list.
    """
    try:
        with (search / TRIALS).open(newline="", encoding="utf-8") as file:
            listed = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{search / TRIALS} can't be read ({error}); search again.") from None
    if not all("trial" in row for row in listed):
        raise DataError(f"{search / TRIALS} has no column `trial`; search again.")
    rows = {row["trial"]: row for row in listed}
    if trial not in rows:
        raise SettingsError(f"--architecture {trial}: {search / TRIALS} has {', '.join(rows)}.")
    return rows[trial]


def architecture_of_trial(search: Path, trial: str) -> Architecture:
    """Return the architecture of a finished trial. Raises SettingsError for a trial that trials.csv does not list."""
    choices = {name: {str(value): value for value in SEARCH_SPACE[name]} for name in SEARCH_SPACE}
    # A choice that the search space has gained since has its default in older trials.
    given = {name: value for name, value in row_of_trial(search, trial).items() if name in choices}
    if unknown := [f"{name} {value!r}" for name, value in given.items() if value not in choices[name]]:
        raise DataError(
            f"{search / TRIALS}: trial {trial} has {unknown[0]}, which is no choice of this release; give the file that"
            " adds it with `python -m tuning --with FILE`."
        )
    return Architecture(**{name: choices[name][value] for name, value in given.items()})


def parse_architecture(choices: Mapping[str, Any], source: Path | str) -> Architecture:
    """Return an architecture from JSON. Raises DataError for a choice that this release does not know."""
    try:
        architecture = from_json(Architecture, choices, closed=True)
        sizes = (architecture.size, architecture.blocks, *architecture.stages, *architecture.hidden)
    except ValueError as error:
        raise DataError(
            f"{source}: this release does not know the architecture ({error}); upgrade kneeoa-hub."
        ) from None
    if len(sizes) > MOST_SIZES or not all(isinstance(one, int) and 0 < one <= LARGEST_SIZE for one in sizes):
        raise DataError(f"{source}: the architecture has sizes that no network here has; export it again.")
    return architecture
