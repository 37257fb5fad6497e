"""What asks an oracle for trials and has them trained: Keras Tuner's loop, watched, with a file for each failure."""

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import keras_tuner as kt
from keras_tuner.engine import base_tuner
from keras_tuner.engine import trial as trials

from kneeoa_hub.errors import KneeOAError

from ..run.folder import is_full_disk, no_room
from ..training.search_result import FOLDER, trial_folder
from .durable import STATE, Durable
from .failures import failure_file, failure_text
from .live import Doing
from .settings import OBJECTIVES, SearchSettings, epochs_of, planned_epochs, planned_trials, rungs, trained_epochs

TENSORBOARD = "tensorboard"
"""This folder of a search has the course of its trials for TensorBoard."""
IDLE_S = 0.2
"""Seconds between two questions for a trial while the oracle waits for others to end."""
SHOWN = 3
"""Trials in training that the line of progress names."""


class Trainer(Protocol):
    """What trains a trial: `trial.TrialTrainer`."""

    def train(
        self, values: Mapping[str, Any], epochs: int, callbacks: Sequence[keras.callbacks.Callback], folder: Path
    ) -> dict[str, float]:
        """Return the measures of a trial, and keep its answers for validation films in its folder.

        Args:
            values: The choices of its architecture, by name.
            epochs: The number of epochs.
            callbacks: What watches and records them. The first one watches trainings on folds too.
            folder: The folder of the trial.
        """
        ...


class EnoughError(Exception):
    """A process has trained as many trials as it should."""


class SearchTuner(base_tuner.BaseTuner):
    """Runs the trials of a search in this process.

    Attributes:
        most_trials: After so many trials it raises EnoughError where it would ask for another one; 0 for no limit.
        check: Raises an error where the search of a trial is gone. It is called before a result is kept or reported.
    """

    most_trials: int = 0
    oracle: Any  # Keras Tuner's types know no oracle that asks a chief again

    def __init__(
        self,
        oracle: Durable,
        out: Path,
        settings: SearchSettings,
        trainer: Trainer,
        watch: Callable[[str, int, int], None],
        tensorboard: bool = False,
    ):
        """Prepare to run trials.

        Args:
            oracle: What draws the trials, in the folder of the search; a worker asks that of the chief.
            out: Output folder of the search.
            settings: The options of the search.
            trainer: What trains a trial.
            watch: Called with a trial, the epochs of it that are done, and all of its epochs.
            tensorboard: Whether each trial writes its course for TensorBoard.
        """
        self.out, self.settings, self.trainer = out, settings, trainer
        self.watch, self.tensorboard = watch, tensorboard
        self.check: Callable[[], None] = lambda: None
        self._asked, self._trained = 0.0, 0
        with contextlib.redirect_stdout(io.StringIO()):  # Keras Tuner prints the name of the file that it loads
            super().__init__(oracle=oracle, directory=str(out), project_name=FOLDER)

    def pre_create_trial(self) -> None:
        """Wait a little where the last question gave no trial. Raises EnoughError after `most_trials`."""
        if self.most_trials and self._trained >= self.most_trials:
            raise EnoughError
        time.sleep(max(0.0, self._asked + IDLE_S - time.monotonic()))
        self._asked = time.monotonic()

    def on_trial_begin(self, trial: trials.Trial) -> None:
        """Show the trial, and forget why it failed before."""
        failure_file(self.out, trial.trial_id).unlink(missing_ok=True)
        self.watch(trial.trial_id, 0, trained_epochs(epochs_of(trial, self.settings), self.settings))

    def run_trial(self, trial: trials.Trial, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return the measures of a trial."""
        epochs, done = epochs_of(trial, self.settings), itertools.count(1)
        planned = trained_epochs(epochs, self.settings)

        def after_epoch(epoch: int, logs: object) -> None:
            self.check()
            self.watch(trial.trial_id, next(done), planned)

        shown = keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)
        try:
            folder = trial_folder(self.out, trial.trial_id)
            measures = self.trainer.train(
                trial.hyperparameters.values, epochs, [shown, *self._recorders(trial)], folder
            )
            self.check()
            self._record(trial, epochs, measures)
            return measures
        except KneeOAError as error:  # a fault of data, disk or settings, which every other trial would have too
            raise kt.errors.FatalError(error.message) from error
        except Exception as error:
            if not is_full_disk(error):
                raise
            raise kt.errors.FatalError(str(error)) from no_room(self.out, error)

    def on_trial_end(self, trial: trials.Trial) -> None:
        """Keep the traceback of a trial that failed. A worker must do so: Keras Tuner does not send it to the chief."""
        self.check()
        if trial.message:
            path = failure_file(self.out, trial.trial_id)
            path.parent.mkdir(exist_ok=True)
            path.write_text(failure_text(trial.hyperparameters.values, trial.message), "utf-8")
        super().on_trial_end(trial)
        self._trained += 1

    def _recorders(self, trial: trials.Trial) -> Sequence[Any]:
        """What writes the course of a trial for TensorBoard, with its choices as HParams."""
        if not self.tensorboard:
            return ()
        from tensorboard.plugins.hparams import api

        folder = str(self.out / TENSORBOARD / trial.trial_id)
        choices = {name: value for name, value in trial.hyperparameters.values.items() if not name.startswith("tuner/")}
        return (
            keras.callbacks.TensorBoard(folder, write_graph=False),
            api.KerasCallback(folder, choices, trial_id=trial.trial_id),
        )

    def _record(self, trial: trials.Trial, epochs: int, measures: Mapping[str, float]) -> None:
        """Write the measures that trials are compared by for TensorBoard, which sorts them by these beside the HParams.

        Args:
            trial: The trial.
            epochs: Its epochs.
            measures: What it reached.
        """
        if not self.tensorboard:
            return
        import tensorflow as tf

        with tf.summary.create_file_writer(str(self.out / TENSORBOARD / trial.trial_id)).as_default(step=epochs):
            for name in OBJECTIVES:
                tf.summary.scalar(f"val_{name}", measures[f"val_{name}"])

    def _get_tuner_fname(self) -> str:
        """The file whose presence says that the search was begun. Keras Tuner has one for each process."""
        return str(self.out / FOLDER / STATE)

    def save(self) -> None:
        """Do nothing: the oracle keeps its state itself, and there is nothing beside it."""

    def reload(self) -> None:
        """Do nothing: the oracle has taken up its state, in `Durable.take_up`."""


def progress_of(ended: Sequence[trials.Trial], doing: Sequence[Doing], settings: SearchSettings) -> tuple[float, str]:
    """Return how many epochs of a search are done, and what to say of it.

    Args:
        ended: The trials that have ended.
        doing: What is trained now.
        settings: The options of the search.
    """
    training = [one for one in doing if one.trial and one.trial not in {trial.trial_id for trial in ended}]
    done = sum(trained_epochs(epochs_of(trial, settings), settings) for trial in ended) + sum(
        one.done for one in training
    )
    note = f"{len(ended)}/{planned_trials(settings)} trials"
    scores = [trial.score for trial in ended if trial.score is not None]
    best = (max if OBJECTIVES[settings.objective] == "max" else min)(scores, default=None)
    note += f", best {settings.objective.replace('_', ' ')} {best:.3f}" if best is not None else ""
    lengths = sorted({trained_epochs(epochs, settings) for _, epochs in rungs(settings)})
    for one in training[:SHOWN]:
        rung = f" rung {lengths.index(one.epochs) + 1}/{len(lengths)}" if len(lengths) > 1 else ""
        note += f"; trial {one.trial}{rung} epoch {one.done}/{one.epochs}"
    return min(done, planned_epochs(settings)), note
