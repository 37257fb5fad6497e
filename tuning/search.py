"""Step 2: Keras Tuner searches the space of architectures for the best validation quadratic weighted kappa.

    python -m tuning search --data runs/audit --out runs/search --only size=128,160

Writes trials.csv, report.md with plots, and best.json. A search that was killed goes on with the next trial.
"""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError, KneeOAError, SettingsError

from .data.augment import TrainingBatches, one_hot
from .data.datasets import Knees, check_grades, load_knees, stratified_subset
from .evaluation.plots import plot_search
from .networks.architecture import SEARCH_SPACE, Architecture, KneeHyperModel, compiled, narrowed
from .run import steps
from .run.room import only_run
from .training.schedule import warmup_cosine
from .training.search_result import RESULT, Trial, write_result
from .training.tuners import OBJECTIVE, TUNERS, SearchSettings, run_trials

SHOWN_TRIALS = 15
"""Best trials that report.md lists."""


def search(audit: Path, out: Path, settings: SearchSettings = SearchSettings()) -> Path:
    """Write trials.csv, report.md with plots, and best.json to `out`, and return it.

    A trial that fails leaves its traceback in failed/.

    Args:
        audit: Output folder of the audit.
        out: A new folder, or one in which the same search was stopped.
        settings: The options of the search.

    Raises:
        SettingsError: The tuner or a choice of the search space does not exist.
        DataError: No trial finished, or too many failed in a row.
    """
    search_space = narrowed(settings.only or {})
    if settings.tuner not in TUNERS:
        raise SettingsError(f"--tuner {settings.tuner}: choose among {', '.join(TUNERS)}.")
    audit = steps.find_input(audit, "audit")
    steps.begin(out, "search", str(audit), asdict(settings))
    if (out / RESULT).exists():
        return out
    with only_run(out):
        run_trials(_FilmHyperModel(search_space, audit, settings), out, settings)
    trials = read_trials(out / "tuner", settings.epochs)
    if not trials:
        raise DataError(f"No trial of the search finished; read why in {out / 'failed'}.")
    plot_search([trial.row() for trial in trials], out / "search.png")
    (out / "report.md").write_text(_report(trials, search_space, settings), "utf-8")
    write_result(out, trials, settings.tuner)
    # Every trial left a checkpoint of its weights. The best architecture is trained anew, so they only fill the disk.
    for checkpoint in (out / "tuner").glob("trial_*/*.h5"):
        checkpoint.unlink()
    return out


class _FilmHyperModel(KneeHyperModel):
    """Trains each trial on films of the size that it drew."""

    def __init__(self, search_space: dict[str, tuple[Any, ...]], audit: Path, settings: SearchSettings):
        super().__init__(search_space)
        self.audit, self.settings = audit, settings
        self.films: dict[InputConfig, tuple[Knees, tuple[np.ndarray, np.ndarray]]] = {}

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        architecture = self.architecture(hp)
        try:
            training, validation = self._films(architecture.input)
        except KneeOAError as error:  # a fault of the data, not of this trial
            raise kt.errors.FatalError(error.message) from error
        keras.utils.set_random_seed(self.settings.seed)
        batches = TrainingBatches(training, self.settings.batch, architecture.augmentation, self.settings.seed)
        # Each rung of Hyperband starts anew, so that its rate can fall within its epochs as it will in the long
        # training. Under a constant rate the search prefers rates that are too low for that training.
        schedule = warmup_cosine(architecture.learning_rate, kwargs["epochs"] * len(batches))
        fresh = compiled(architecture, schedule)
        given = {**kwargs, "verbose": 0, "initial_epoch": 0, "shuffle": False}
        return fresh.fit(batches, *args, validation_data=validation, validation_batch_size=128, **given)

    def _films(self, config: InputConfig) -> tuple[Knees, tuple[np.ndarray, np.ndarray]]:
        """Training knees, and inputs and targets of validation; only those of one size are kept in memory."""
        if config not in self.films:
            training, validation = (load_knees(self.audit, split, config) for split in ("train", "val"))
            training = stratified_subset(training, self.settings.films, self.settings.seed)
            validation = stratified_subset(validation, self.settings.validation_films)
            check_grades(validation)
            self.films = {config: (training, (validation.inputs(), one_hot(validation.grades)))}
        return self.films[config]


def read_trials(tuner: Path, epochs: int) -> list[Trial]:
    """Return the finished trials that Keras Tuner left on disk, best first.

    Args:
        tuner: Its folder.
        epochs: Number of epochs of a trial that does not say.
    """
    trials = []
    for path in sorted(tuner.glob("trial_*/trial.json")):
        trial = steps.read_json(path)
        try:
            if trial["status"] == "COMPLETED":
                trials.append(_trial(trial, epochs))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is damaged ({error!r}); remove its folder, and the search says how to go on."
            ) from None
    return sorted(trials, key=lambda trial: -trial.val_qwk)


def _trial(trial: dict[str, Any], epochs: int) -> Trial:
    """A finished trial from its JSON. Raises ValueError kinds for a damaged one."""
    values = trial["hyperparameters"]["values"]
    if not math.isfinite(trial["score"]):
        raise ValueError("the score is not a number")
    # Keras Tuner keeps a truth value as 0 or 1. A choice that the search space has gained since is absent.
    choices = {name: type(known[0])(values[name]) for name, known in SEARCH_SPACE.items() if name in values}
    length, bracket = values.get("tuner/epochs", epochs), values.get("tuner/bracket", "")
    return Trial(trial["trial_id"], trial["score"], length, bracket, Architecture(**choices))


def _report(trials: list[Trial], search_space: dict[str, tuple[Any, ...]], settings: SearchSettings) -> str:
    rows = [trial.row() for trial in trials[:SHOWN_TRIALS]]
    lines = [
        "# Search",
        "",
        f"{len(trials)} trials by {settings.tuner}; objective: {OBJECTIVE}; at most {settings.films} training films and"
        f" {settings.epochs} epochs per trial.",
        "",
        "![Validation kappa of every trial, by choice](search.png)",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *("| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in rows),
        "",
        "Search space: "
        + "; ".join(f"{name} {', '.join(map(str, choices))}" for name, choices in search_space.items())
        + ".",
        "",
    ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
