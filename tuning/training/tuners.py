"""Keras Tuner's three searches, as the search step uses them: watched, bounded, and with a file for each failure."""

import contextlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner as kt

from kneeoa_hub.errors import DataError

from ..run.console import Progress

if TYPE_CHECKING:
    pass

OBJECTIVE = "val_qwk"
TUNERS = ("hyperband", "bayesian", "random")
FACTOR = 3
"""By what Hyperband cuts the number of trials from rung to rung, and lengthens those that are left."""
FAILURES = 5
"""Trials that may fail in a row."""


def run_trials(hypermodel: kt.HyperModel, out: Path, settings: "SearchSettings") -> None:
    """Run the trials that `out` does not hold yet; each that fails leaves its traceback in out/failed.

    Raises DataError after FAILURES failures in a row, or when Keras Tuner can't read what it left in `out`; and what
    the hypermodel raises as kt.errors.FatalError, from its cause.
    """
    planned = rungs(settings)
    epochs = sum(count * length for count, length in planned)
    with Progress(f"search, {settings.tuner}", epochs, note="starting") as progress:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # where it names the file that it loads
                tuner = _tuner(hypermodel, out, settings, progress, sum(count for count, _ in planned))
        except (ValueError, KeyError, RuntimeError) as error:
            raise DataError(
                f"{out / 'tuner'} can't be taken up again ({error}); remove {out} to search anew."
            ) from None
        try:
            tuner.search(verbose=0)
        except kt.errors.FatalError as error:
            raise error.__cause__ or error from None
        except RuntimeError as error:
            if "consecutive failures" not in str(error):
                raise
            last = str(error).strip().splitlines()[-1]
            raise DataError(
                f"{FAILURES} trials failed in a row, the last by {last} Their tracebacks are in {out / 'failed'}."
            ) from None


def rungs(settings: "SearchSettings") -> list[tuple[int, int]]:
    """(trials, epochs of each) that a search plans, counted as Keras Tuner's Hyperband does."""
    if settings.tuner != "hyperband":
        return [(settings.trials, settings.epochs)]
    longest, planned, bracket = settings.epochs, [], 0
    while FACTOR**bracket <= longest:
        last = math.ceil(1 + math.log(longest, FACTOR)) / (bracket + 1)
        planned += [(math.ceil(last * FACTOR**cut), math.ceil(longest / FACTOR**cut)) for cut in range(bracket + 1)]
        bracket += 1
    return planned * settings.iterations


def _tuner(
    hypermodel: kt.HyperModel, out: Path, settings: "SearchSettings", progress: Progress, planned: int
) -> kt.Tuner:
    common: dict[str, Any] = {
        "objective": kt.Objective(OBJECTIVE, "max"),
        "directory": str(out),
        "project_name": "tuner",
        "seed": settings.seed,
        "max_consecutive_failed_trials": FAILURES,
    }
    if settings.tuner == "hyperband":
        kind = _watched(kt.Hyperband, out, progress, planned)
        return kind(
            hypermodel, max_epochs=settings.epochs, factor=FACTOR, hyperband_iterations=settings.iterations, **common
        )
    # These two take the number of epochs from `search`, where Hyperband sets its own.
    kind = _watched(
        kt.BayesianOptimization if settings.tuner == "bayesian" else kt.RandomSearch,
        out,
        progress,
        planned,
        epochs=settings.epochs,
    )
    return kind(hypermodel, max_trials=settings.trials, **common)


def _watched(kind: Any, out: Path, progress: Progress, planned: int, **given: int) -> Any:
    """A kind of tuner that tells its progress, writes down failures, and passes `given` on to every training."""

    def length(trial: Any) -> int:
        return trial.hyperparameters.values.get("tuner/epochs", given.get("epochs", 0))

    class Watched(kind):
        before, story = 0, ""

        def search(self, *args: Any, **kwargs: Any) -> None:
            super().search(*args, **given, **kwargs)

        def on_trial_begin(self, trial: Any) -> None:
            super().on_trial_begin(trial)
            ended = [other for other in self.oracle.trials.values() if other.status in ("COMPLETED", "FAILED")]
            best = max((other.score for other in ended if other.score is not None), default=None)
            self.before = sum(map(length, ended))
            self.story = f"trial {len(ended) + 1} of {planned}" + (
                f", best kappa {best:.3f}" if best is not None else ""
            )
            progress.at(self.before, self.story)

        def on_epoch_end(
            self, trial: Any, model: keras.Model, epoch: int, logs: dict[str, float] | None = None
        ) -> None:
            super().on_epoch_end(trial, model, epoch, logs=logs)
            progress.at(self.before + epoch + 1, f"{self.story}, epoch {epoch + 1} of {length(trial)}")

        def on_trial_end(self, trial: Any) -> None:
            if trial.message:
                record = out / "failed" / f"trial_{trial.trial_id}.txt"
                record.parent.mkdir(exist_ok=True)
                record.write_text(f"{trial.hyperparameters.values}\n\n{trial.message}", "utf-8")
                progress.say(f"   trial {trial.trial_id} failed: {trial.message.strip().splitlines()[-1]} ({record})")
            super().on_trial_end(trial)

    return Watched


@dataclass(frozen=True)
class SearchSettings:
    """tuner: one of TUNERS. trials: for bayesian and random. epochs: most epochs of one trial.

    iterations: how often Hyperband starts anew. films, validation_films: most films of a trial, stratified by grade.
    only: narrowed choices.
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
