"""One trial: a network is trained for a short time, and measured on validation films."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kneeoa_hub.bundle import InputConfig, read_bundle
from kneeoa_hub.hub.pull_push import pull

from ..data.augment import TrainingBatches
from ..data.datasets import Knees, check_grades, load_knees, stratified_subset
from ..networks.architecture import Architecture, compiled
from ..training import distillation
from ..training.computation import Choice, Computation, computation_of, precision, time_ways
from ..training.schedule import warmup_cosine
from .cost import cost_of
from .folds import folds
from .predictions import finite, keep_predictions, measured
from .settings import OBJECTIVES, SearchSettings, planned_epochs, planned_trainings
from .space import point_of, trial_seed

VALIDATION_BATCH = 128


@dataclass(frozen=True)
class Films:
    """The films of a trial: to learn from, with their targets [N,5], or None for their grades; and to measure on."""

    training: Knees
    targets: np.ndarray | None
    validation: Knees


class TrialTrainer:
    """Trains and measures the trials of one process; the films of the newest input stay in memory."""

    def __init__(self, audit: Path, settings: SearchSettings, out: Path):
        """Prepare to train.

        Args:
            audit: Output folder of the audit.
            settings: The options of the search.
            out: Output folder of the search, which keeps how its trials are computed.
        """
        self.audit, self.settings, self.out = audit, settings, out
        self._films: dict[InputConfig, tuple[Knees, Knees]] = {}
        self._answers: dict[str, np.ndarray] = {}

    def train(
        self,
        values: Mapping[str, Any],
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback],
        folder: Path | None = None,
    ) -> dict[str, float]:
        """Return the measures of a trial, which `search_result.Trial` describes.

        A trial is trained to the end of its epochs, over which the learning rate falls, and its last weights are
        measured. The best of several epochs would be chance in part. With `settings.folds`, a trial of full length is
        trained once more for each fold.

        Args:
            values: What Keras Tuner drew.
            epochs: Epochs to train.
            callbacks: What watches and records the training. The first one watches the trainings on folds too.
            folder: Where its answers for validation films stay; None keeps none.

        Raises:
            DataError: The films can't be used, which is no fault of the trial.
            FloatingPointError: The loss is no longer a number.
        """
        point, seed = point_of(values), trial_seed(self.settings.seed, values)
        architecture = point.architecture
        films = self.films(architecture.input, point.teacher)
        way = computation_of(self.out, self.settings.precision, lambda: self._chosen(architecture, films, seed))
        began = time.monotonic()
        model = self._trained(architecture, films, epochs, seed, callbacks, way)
        seconds = time.monotonic() - began
        answers = _answers(model, films.validation)
        if folder:
            keep_predictions(folder, answers, films.validation.grades)
        measures = measured(answers, films.validation.grades, films.validation.groups)
        measures["parameters"] = float(model.count_params())
        if epochs == self.settings.epochs:  # lower rungs are not what a user chooses among
            measures |= cost_of(architecture)
            if self.settings.folds:
                began = time.monotonic()
                measures |= self._on_folds(architecture, films, epochs, seed, callbacks[:1], way)
                seconds += time.monotonic() - began
        return measures | {"seconds": seconds}

    def _trained(
        self,
        architecture: Architecture,
        films: Films,
        epochs: int,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback],
        way: Computation,
    ) -> Any:
        """A network after its training."""
        batches = self._batches(architecture, films, seed)
        keras.backend.clear_session()  # it collects garbage too
        keras.utils.set_random_seed(seed)
        # Each rung of Hyperband starts anew, so that its rate can fall within its epochs as it will in the long
        # training. Under a constant rate the search prefers rates that are too low for that training.
        model = _compiled(architecture, epochs * len(batches), way)
        numbered = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch))
        watched = [keras.callbacks.TerminateOnNaN(), numbered, *callbacks]
        history = model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=watched)  # pyright: ignore[reportArgumentType]
        losses = history.history.get("loss", [])
        if len(losses) < epochs or not np.isfinite(losses).all():
            raise FloatingPointError(
                f"the loss was not a number in epoch {max(1, len(losses))} of {epochs}, with the learning rate"
                f" {architecture.learning_rate:g}"
            )
        return model

    def _batches(self, architecture: Architecture, films: Films, seed: int) -> TrainingBatches:
        """The batches of a training."""
        augmentation = architecture.augmentation
        return TrainingBatches(films.training, self.settings.batch, augmentation, seed, targets=films.targets)

    def _chosen(self, architecture: Architecture, films: Films, seed: int) -> Choice:
        """The fastest way to train the trials, by the one that comes first and the mean length of their trainings."""
        batches = self._batches(architecture, films, seed)
        trainings, epochs = planned_trainings(self.settings), planned_epochs(self.settings)
        count, batch = len(batches) * round(epochs / trainings), batches[0]

        def begin(way: Computation) -> Callable[[], object]:
            keras.backend.clear_session()
            model = _compiled(architecture, count, way)
            return lambda: model.train_on_batch(*batch)

        return time_ways(begin, count, trainings)

    def _on_folds(
        self,
        architecture: Architecture,
        films: Films,
        epochs: int,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback],
        way: Computation,
    ) -> dict[str, float]:
        """The mean of both measures over folds of the training films, each answered by a network that did not see it.

        The standard error is that of a mean of so many values. It counts what another training and other films change,
        and of few folds it is rough.
        """
        found = []
        for held_out in folds(films.training.films, self.settings.folds, self.settings.seed):
            learnt = np.setdiff1d(np.arange(len(films.training)), held_out)
            targets = None if films.targets is None else films.targets[learnt]
            mine = Films(films.training.take(learnt), targets, films.training.take(held_out))
            model = self._trained(architecture, mine, epochs, seed, callbacks, way)
            found.append(measured(_answers(model, mine.validation), mine.validation.grades, mine.validation.groups))
        measures = {}
        for name in OBJECTIVES:
            values = [one[f"val_{name}"] for one in found]
            measures[f"folds_{name}"] = float(np.mean(values))
            measures[f"folds_{name}_error"] = float(np.std(values, ddof=1) / len(values) ** 0.5)
        return measures

    def films(self, config: InputConfig, teacher: str) -> Films:
        """Return the films of a trial of this input and teacher. Raises DataError when they can't be used."""
        if config not in self._films:
            training, validation = self._some("train", config), self._some("val", config)
            check_grades(training.grades, validation.grades)
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


def _compiled(architecture: Architecture, steps: int, way: Computation) -> Any:
    """A network before a training of so many steps."""
    with precision(way.precision):
        return compiled(architecture, warmup_cosine(architecture.learning_rate, steps), xla=way.xla)


def _answers(model: Any, knees: Knees) -> np.ndarray:
    """[N,5]: the probabilities of a network. Raises FloatingPointError when they are no numbers."""
    return finite(model.predict(knees.inputs(), batch_size=VALIDATION_BATCH, verbose=0))
