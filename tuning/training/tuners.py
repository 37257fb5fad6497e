"""Keras Tuner's three searches as the search step uses them: seeded, watched, bounded, with a file for each failure."""

import contextlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt

from kneeoa_hub.errors import DataError, OutputError

from ..run.console import Progress
from ..run.room import check_room
from ..run.steps import SEEDS

OBJECTIVE = "val_qwk"
"""What a search maximises: the validation quadratic weighted kappa."""
TUNERS = ("hyperband", "bayesian", "random")
FACTOR = 3
"""From rung to rung, Hyperband divides the number of trials by it and multiplies their epochs."""
FAILURES = 5
"""Trials that may fail in a row."""


@dataclass(frozen=True)
class SearchSettings:
    """The options of a search.

    Attributes:
        tuner: One of TUNERS.
        trials: Number of trials, for bayesian and random.
        epochs: Epochs of one trial at most.
        iterations: How often Hyperband starts anew.
        films: Training films of a trial at most, stratified by grade.
        validation_films: Validation films at most, stratified by grade.
        batch: Films of one step.
        seed: Of the draws, of the films and of the weights.
        only: Choices of the search space to which it is narrowed, by name.
    """

    tuner: str = "hyperband"
    trials: int = 12
    epochs: int = 9
    iterations: int = 1
    films: int = 3000
    validation_films: int = 1000
    batch: int = 32
    seed: int = 0
    only: dict[str, list[str]] | None = None


def run_trials(hypermodel: kt.HyperModel, out: Path, settings: SearchSettings) -> None:
    """Run the trials that `out` does not hold yet; each that fails leaves its traceback in out/failed.

    Args:
        hypermodel: What Keras Tuner draws and trains.
        out: Output folder of the search.
        settings: The options of the search.

    Raises:
        DataError: FAILURES trials failed in a row, or Keras Tuner can't read what it left in `out`.
        Exception: What the hypermodel raises as the cause of a kt.errors.FatalError.
    """
    if list(out.glob("tuner/trial_*")) and not (out / "tuner" / "oracle.json").is_file():
        raise DataError(
            f"{out / 'tuner'} holds trials, but no oracle.json that says which are done; remove {out} to search anew."
        )
    planned = rungs(settings)
    epochs = sum(count * length for count, length in planned)
    with Progress(f"search, {settings.tuner}", epochs, note="starting") as progress:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Keras Tuner prints the name of the file that it loads
                tuner = _tuner(hypermodel, out, settings, progress, sum(count for count, _ in planned))
        except (ValueError, KeyError, RuntimeError) as error:
            raise DataError(f"{out / 'tuner'} can't be resumed ({error}); remove {out} to search anew.") from None
        try:
            tuner.search(verbose=0)
        except kt.errors.FatalError as error:
            raise error.__cause__ or error from None
        except RuntimeError as error:
            if "consecutive failures" not in str(error):
                raise
            last = str(error).strip().splitlines()[-1]
            raise DataError(
                f"{FAILURES} trials failed in a row, the last one with {last} Read their tracebacks in"
                f" {out / 'failed'}."
            ) from None


def rungs(settings: SearchSettings) -> list[tuple[int, int]]:
    """Return (trials, epochs of each) that a search plans, counted as Keras Tuner's Hyperband does."""
    if settings.tuner != "hyperband":
        return [(settings.trials, settings.epochs)]
    longest, planned, bracket = settings.epochs, [], 0
    while FACTOR**bracket <= longest:
        last = math.ceil(1 + math.log(longest, FACTOR)) / (bracket + 1)
        planned += [(math.ceil(last * FACTOR**cut), math.ceil(longest / FACTOR**cut)) for cut in range(bracket + 1)]
        bracket += 1
    return planned * settings.iterations


def tuner_seed(seed: int) -> int:
    """Return the seed for Keras Tuner, which takes 0 for no seed and then draws one of its own."""
    return seed or SEEDS - 1


def _tuner(
    hypermodel: kt.HyperModel, out: Path, settings: SearchSettings, progress: Progress, planned: int
) -> kt.Tuner:
    common: dict[str, Any] = {
        "objective": kt.Objective(OBJECTIVE, "max"),
        "directory": str(out),
        "project_name": "tuner",
        "seed": tuner_seed(settings.seed),
        "max_consecutive_failed_trials": FAILURES,
    }
    if settings.tuner == "hyperband":
        kind = _watched(kt.Hyperband, out, progress, planned)
        return kind(
            hypermodel, max_epochs=settings.epochs, factor=FACTOR, hyperband_iterations=settings.iterations, **common
        )
    # These two take the number of epochs from `search`, where Hyperband sets its own.
    base = kt.BayesianOptimization if settings.tuner == "bayesian" else kt.RandomSearch
    kind = _watched(base, out, progress, planned, epochs=settings.epochs)
    return kind(hypermodel, max_trials=settings.trials, **common)


def _watched(base: Any, out: Path, progress: Progress, planned: int, **given: int) -> Any:
    """A tuner class that shows its progress, writes failures to out/failed and passes `given` to every training."""

    def epochs_of(trial: Any) -> int:
        return trial.hyperparameters.values.get("tuner/epochs", given.get("epochs", 0))

    class Watched(base):
        done, note = 0, ""
        """Epochs of the trials that have ended, and what the progress says of the current one."""

        def search(self, *args: Any, **kwargs: Any) -> None:
            super().search(*args, **given, **kwargs)

        def on_trial_begin(self, trial: Any) -> None:
            super().on_trial_begin(trial)
            self.check_room(0)
            ended = [other for other in self.oracle.trials.values() if other.status in ("COMPLETED", "FAILED")]
            best = max((other.score for other in ended if other.score is not None), default=None)
            self.done = sum(map(epochs_of, ended))
            self.note = f"trial {len(ended) + 1} of {planned}" + (
                f", best kappa {best:.3f}" if best is not None else ""
            )
            progress.at(self.done, self.note)

        def check_room(self, parameters: int) -> None:
            try:
                check_room(out, parameters)
            except OutputError as error:  # of the disk, not of this trial, which is tried again when there is room
                raise kt.errors.FatalError(error.message) from error

        def on_epoch_end(
            self, trial: Any, model: keras.Model, epoch: int, logs: dict[str, float] | None = None
        ) -> None:
            super().on_epoch_end(trial, model, epoch, logs=logs)
            self.check_room(model.count_params())
            progress.at(self.done + epoch + 1, f"{self.note}, epoch {epoch + 1} of {epochs_of(trial)}")

        def on_trial_end(self, trial: Any) -> None:
            if trial.message:
                path = out / "failed" / f"trial_{trial.trial_id}.txt"
                path.parent.mkdir(exist_ok=True)
                path.write_text(f"{trial.hyperparameters.values}\n\n{trial.message}", "utf-8")
                progress.say(f"   trial {trial.trial_id} failed: {trial.message.strip().splitlines()[-1]} ({path})")
            super().on_trial_end(trial)

    return Watched
