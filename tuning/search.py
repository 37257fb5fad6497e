"""Step 2: Keras Tuner searches the space of architectures for the best validation quadratic weighted kappa."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.errors import DataError, KneeOAError, SettingsError

from .data.augment import TrainingBatches, one_hot
from .data.datasets import load_knees, stratified_subset
from .evaluation.plots import plot_search
from .networks.architecture import SEARCH_SPACE, Architecture, KneeHyperModel, compiled, narrowed
from .run import steps
from .training.schedule import warmup_cosine
from .training.tuners import OBJECTIVE, TUNERS, SearchSettings, run_trials


def search(audit: Path, out: Path, settings: SearchSettings = SearchSettings()) -> Path:
    """Write trials.csv, report.md with plots, and best.json to `out`; returns it.

    A search that was killed goes on with the next trial. A trial that fails leaves its traceback in `failed/`;
    too many in a row end the search with a DataError. Raises SettingsError for a tuner or a choice that there is not.
    """
    search_space = narrowed(settings.only or {})
    if settings.tuner not in TUNERS:
        raise SettingsError(f"--tuner {settings.tuner}: choose among {', '.join(TUNERS)}.")
    audit = steps.find_input(audit, "audit")
    steps.begin(out, "search", str(audit), asdict(settings))
    if (out / "best.json").exists():
        return out
    run_trials(_FilmHyperModel(search_space, audit, settings), out, settings)
    trials = read_trials(out / "tuner", settings.epochs)
    if not trials:
        raise DataError(f"No trial of the search finished; why is in {out / 'failed'}.")
    _write(out, trials, search_space, settings)
    # Every trial left a checkpoint of its weights; the winner is trained anew, so they only fill the disk.
    for checkpoint in (out / "tuner").glob("trial_*/*.h5"):
        checkpoint.unlink()
    return out


def read_trials(folder: Path, epochs: int) -> list[dict[str, Any]]:
    """The finished trials as Keras Tuner left them on disk, best first. epochs: of a trial that does not say."""
    trials = []
    for path in sorted(folder.glob("trial_*/trial.json")):
        trial = json.loads(path.read_text("utf-8"))
        if trial["status"] != "COMPLETED":
            continue
        values = trial["hyperparameters"]["values"]
        trials.append(
            {
                "trial": trial["trial_id"],
                OBJECTIVE: trial["score"],
                "epochs": values.get("tuner/epochs", epochs),
                "bracket": values.get("tuner/bracket", ""),
                # Keras Tuner keeps a truth value as 0 or 1.
                **{name: type(SEARCH_SPACE[name][0])(values[name]) for name in SEARCH_SPACE},
            }
        )
    return sorted(trials, key=lambda trial: -trial[OBJECTIVE])


def architecture_of(folder: Path, trial: str = "") -> Architecture:
    """The winner of a search's best.json, or another finished trial of its trials.csv.

    Raises SettingsError for one not in there.
    """
    if not trial:
        return Architecture(**steps.read_json(folder / "best.json")["architecture"])
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    if trial not in rows:
        raise SettingsError(f"--architecture {trial}: {folder / 'trials.csv'} has {', '.join(rows)}.")
    choices = {name: {str(value): value for value in SEARCH_SPACE[name]} for name in SEARCH_SPACE}
    # A choice that the space has gained since has its default in older trials.
    return Architecture(**{name: known[rows[trial][name]] for name, known in choices.items() if name in rows[trial]})


class _FilmHyperModel(KneeHyperModel):
    """Trains each trial on films of the size that it drew."""

    def __init__(self, search_space: dict[str, tuple[Any, ...]], audit: Path, settings: SearchSettings):
        super().__init__(search_space)
        self.audit, self.settings = audit, settings
        self.knees: dict[InputConfig, Any] = {}

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        architecture = self.architecture(hp)
        try:
            train, validation = self._films(architecture.input)
        except KneeOAError as error:  # of the data, not of this trial
            raise kt.errors.FatalError(error.message) from error
        batches = TrainingBatches(train, self.settings.batch, architecture.augmentation, self.settings.seed)
        # Each rung of Hyperband starts anew, so that its rate can fall within its epochs as it will in the long
        # training; under a constant rate the search prefers rates that are too low for that.
        epochs = kwargs["epochs"]
        fresh = compiled(architecture, warmup_cosine(architecture.learning_rate, epochs * len(batches)))
        given = {**kwargs, "verbose": 0, "initial_epoch": 0, "shuffle": False}
        return fresh.fit(batches, *args, validation_data=validation, validation_batch_size=128, **given)

    def _films(self, config: InputConfig) -> Any:
        if config not in self.knees:
            train = stratified_subset(load_knees(self.audit, "train", config), self.settings.films, self.settings.seed)
            validation = stratified_subset(load_knees(self.audit, "val", config), self.settings.validation_films)
            self.knees = {config: (train, (validation.inputs(), one_hot(validation.grades)))}
        return self.knees[config]


def _write(
    out: Path, trials: list[dict[str, Any]], search_space: dict[str, tuple[Any, ...]], settings: SearchSettings
) -> None:
    with (out / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(trials[0]))
        writer.writeheader()
        writer.writerows(trials)
    plot_search(trials, out / "search.png")
    best = {name: trials[0][name] for name in SEARCH_SPACE}
    lines = [
        "# Search",
        "",
        (
            f"{len(trials)} trials by {settings.tuner}; objective: {OBJECTIVE}; at most {settings.films} training films"
            f" and {settings.epochs} epochs a trial."
        ),
        "",
        "![Validation kappa of every trial, by choice](search.png)",
        "",
        "| " + " | ".join(trials[0]) + " |",
        "|" + "---|" * len(trials[0]),
        *("| " + " | ".join(_cell(value) for value in trial.values()) + " |" for trial in trials[:15]),
        "",
        "Space: " + "; ".join(f"{name} {', '.join(map(str, choices))}" for name, choices in search_space.items()) + ".",
        "",
    ]
    (out / "report.md").write_text("\n".join(lines), "utf-8")
    document = {"architecture": best, OBJECTIVE: trials[0][OBJECTIVE], "trials": len(trials), "tuner": settings.tuner}
    steps.write_json(out / "best.json", document)


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
