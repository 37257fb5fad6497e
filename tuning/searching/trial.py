"""One trial: a network is trained for a short time, and measured on validation films."""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.bundle import InputConfig, read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.hub.pull_push import pull

from ..data.augment import TrainingBatches
from ..data.datasets import Knees, check_grades, load_knees, stratified_subset
from ..evaluation.calibration import apply_temperature, fit_temperature
from ..networks.architecture import compiled
from ..networks.ensemble import LEAST_PROBABILITY
from ..training import distillation
from ..training.schedule import warmup_cosine
from .cost import cost_of
from .settings import SearchSettings
from .space import point_of, trial_seed

VALIDATION_BATCH = 128
RESAMPLES = 200
"""Bootstrap samples of a standard error."""


@dataclass(frozen=True)
class Films:
    """The films of a trial: to learn from, with their targets [N,5], or None for their grades; and to measure on."""

    training: Knees
    targets: np.ndarray | None
    validation: Knees


class TrialTrainer:
    """Trains and measures the trials of one process; the films of the newest input stay in memory."""

    def __init__(self, audit: Path, settings: SearchSettings):
        self.audit, self.settings = audit, settings
        self._films: dict[InputConfig, tuple[Knees, Knees]] = {}
        self._answers: dict[str, np.ndarray] = {}

    def train(
        self, values: Mapping[str, Any], epochs: int, callbacks: Sequence[keras.callbacks.Callback]
    ) -> dict[str, float]:
        """Return the measures of a trial, which `search_result.Trial` describes.

        A trial is trained to the end of its epochs, over which the learning rate falls, and its last weights are
        measured. The best of several epochs would be chance in part.

        Args:
            values: What Keras Tuner drew.
            epochs: Epochs to train.
            callbacks: What watches the training.

        Raises:
            DataError: The films can't be used, which is no fault of the trial.
            FloatingPointError: The loss is no longer a number.
        """
        point = point_of(values)
        films = self.films(point.architecture.input, point.teacher)
        keras.backend.clear_session()
        gc.collect()
        seed = trial_seed(self.settings.seed, values)
        keras.utils.set_random_seed(seed)
        architecture = point.architecture
        batches = TrainingBatches(
            films.training, self.settings.batch, architecture.augmentation, seed, targets=films.targets
        )
        # Each rung of Hyperband starts anew, so that its rate can fall within its epochs as it will in the long
        # training. Under a constant rate the search prefers rates that are too low for that training.
        model = compiled(architecture, warmup_cosine(architecture.learning_rate, epochs * len(batches)))
        began = time.monotonic()
        numbered = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch))
        watched = [keras.callbacks.TerminateOnNaN(), numbered, *callbacks]
        history = model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=watched)  # pyright: ignore[reportArgumentType]
        seconds = time.monotonic() - began
        losses = history.history.get("loss", [])
        if len(losses) < epochs or not np.isfinite(losses).all():
            raise FloatingPointError(
                f"the loss was not a number in epoch {max(1, len(losses))} of {epochs}, with the learning rate"
                f" {architecture.learning_rate:g}"
            )
        inputs = films.validation.inputs()
        probabilities = model.predict(inputs, batch_size=VALIDATION_BATCH, verbose=0)  # pyright: ignore[reportArgumentType]
        if not np.isfinite(probabilities).all():
            raise FloatingPointError("the network answers validation films with values that are not numbers")
        measures = measured(probabilities, films.validation)
        if epochs == self.settings.epochs:  # lower rungs are not what a user chooses among
            measures |= cost_of(architecture)
        return measures | {"seconds": seconds, "parameters": float(model.count_params())}

    def films(self, config: InputConfig, teacher: str) -> Films:
        """Return the films of a trial of this input and teacher. Raises DataError when they can't be used."""
        if config not in self._films:
            training, validation = self._some("train", config), self._some("val", config)
            check_grades(validation)
            if len(set(training.grades.tolist())) < 2:
                raise DataError(
                    f"All {len(training)} training films have one grade, so there is nothing to learn; give films of"
                    " several grades."
                )
            self._films = {config: (training, validation)}
        training, validation = self._films[config]
        return Films(training, self._taught(teacher) if teacher else None, validation)

    def _some(self, split: str, config: InputConfig) -> Knees:
        """The films of a split that trials have; each input has the same ones."""
        count, seed = self.settings.films, self.settings.seed
        if split == "val":
            count, seed = self.settings.validation_films, 0
        return stratified_subset(load_knees(self.audit, split, config), count, seed)

    def _taught(self, teacher: str) -> np.ndarray:
        """[N,5]: targets of the training films, half of them the answers of a bundle."""
        if teacher not in self._answers:
            bundle = read_bundle(folder := pull(teacher))
            distillation.check_films(teacher, bundle, self.audit)
            self._answers[teacher] = distillation.blended(folder, self._some("train", bundle.config.input))
        return self._answers[teacher]


def measured(probabilities: np.ndarray, validation: Knees) -> dict[str, float]:
    """Return kappa and log loss of probabilities [N,5] for validation films, with their standard errors.

    The log loss is that of the probabilities after their temperature was fitted, as the members of an ensemble are
    compared. The errors are deviations over bootstrap samples of leakage groups.
    """
    truth, grades = validation.grades, probabilities.argmax(1)
    calibrated = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    losses = -np.log(np.maximum(calibrated[np.arange(len(truth)), truth], LEAST_PROBABILITY))
    samples = resamples(validation.groups, count=RESAMPLES)
    return {
        "val_log_loss": float(losses.mean()),
        "log_loss_error": float(np.std([losses[rows].mean() for rows in samples])),
        "val_qwk": qwk(truth, grades),
        "qwk_error": float(np.std([qwk(truth[rows], grades[rows]) for rows in samples])),
    }
