"""One member of the ensemble is trained; its training goes on where it was stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.keras_files import load_weights

from ..data.augment import Mixing, TrainingBatches, by_protocol, one_hot
from ..data.datasets import Knees
from ..networks.architecture import build, compiled
from ..run.console import Progress
from .checkpoint import Checkpoint, weights_path
from .computation import Choice, Computation, computation_of, precision, time_ways
from .plan import PlannedMember, TrainSettings
from .schedule import warmup_cosine

STATISTICS_FILMS, STATISTICS_PROPORTION = 3200, 0.1
"""The running statistics of normalisation remember STATISTICS_FILMS films in a long training, and in a short one this
proportion of all films that it sees: their initial values must be forgotten by its end."""
VALIDATION_BATCH = 128


@dataclass(frozen=True)
class TrainingFilms:
    """A member is trained and validated on these films, letterboxed for its input.

    Attributes:
        training: Films to learn from.
        validation: Films to measure every epoch on.
        targets: [N,5] in place of the grades of the training films, see `training.distillation`.
        protocols: Datasets whose readers have a classifier of their own; () has one for all.
        variants: [N,V,H,W], see `variants.load_variants`.
    """

    training: Knees
    validation: Knees
    targets: np.ndarray | None = None
    protocols: tuple[str, ...] = ()
    variants: np.ndarray | None = None

    def targets_of(self, knees: Knees, targets: np.ndarray | None = None) -> np.ndarray:
        """Return what the network should answer for knees: [N,5], or [N,P,5] with protocols."""
        targets = one_hot(knees.grades) if targets is None else targets
        return by_protocol(targets, knees.datasets, self.protocols) if self.protocols else targets


def train_member(member: PlannedMember, films: TrainingFilms, settings: TrainSettings, out: Path) -> Path:
    """Train one member, and write member-NAME.weights.h5 and its history.

    A training that was stopped goes on after its last epoch; one that has finished is left as it is.

    Args:
        member: The name, the architecture, the epochs and the weights that it begins with, which lie in `out`.
        films: Training and validation films with their targets.
        settings: Settings of the whole training.
        out: The folder of the training.

    Returns:
        The path of the weights.
    """
    weights = weights_path(out, member.name)
    if weights.exists():
        return weights
    mixing = Mixing(settings.mixup, settings.occlusion)
    targets = films.targets_of(films.training, films.targets)
    batches = TrainingBatches(
        films.training, settings.batch, member.architecture.augmentation, member.seed, mixing, targets, films.variants
    )
    trainings = max(1, len(settings.new) * len(settings.seeds))
    way = computation_of(out, settings.precision, lambda: _chosen(member, batches, films.protocols, trainings))
    keras.utils.set_random_seed(member.seed)
    model = _compiled(member, batches, films.protocols, way)
    if member.start:
        smaller = build(member.architecture, published=False, protocols=films.protocols)
        load_weights(smaller, weights_path(out, member.start))
        model.set_weights(smaller.get_weights())  # not the optimizer's state, which counts its steps
    _slow_statistics(model, settings.batch, member.epochs * len(films.training))
    checkpoint = Checkpoint(out, member.name, member.epochs, settings.patience, len(batches))
    done = checkpoint.resume(model)
    batches.start_epoch(done)
    if not checkpoint.finished:
        _fit(model, batches, films, checkpoint, member.name)
    checkpoint.finish(weights)
    return weights


def _compiled(
    member: PlannedMember, batches: TrainingBatches, protocols: tuple[str, ...], way: Computation
) -> keras.Model:
    """The network of a member before its training."""
    schedule = warmup_cosine(member.architecture.learning_rate, member.epochs * len(batches))
    with precision(way.precision):
        return compiled(member.architecture, schedule, protocols, way.xla)


def _chosen(member: PlannedMember, batches: TrainingBatches, protocols: tuple[str, ...], trainings: int) -> Choice:
    """The fastest way to train all members, by the one that comes first."""
    batch = batches[0]

    def begin(way: Computation) -> Callable[[], object]:
        keras.backend.clear_session()
        model = _compiled(member, batches, protocols, way)
        return lambda: model.train_on_batch(*batch)

    return time_ways(begin, member.epochs * len(batches), trainings)


def _fit(model: keras.Model, batches: TrainingBatches, films: TrainingFilms, checkpoint: Checkpoint, name: str) -> None:
    """Train the epochs that are left, and show their progress."""
    validation = films.validation
    done, epochs = checkpoint.done, checkpoint.epochs
    with Progress(f"train {name}", epochs, done, f"goes on after epoch {done}" if done else "first epoch") as progress:
        shown = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch),
            on_train_batch_end=lambda batch, logs: progress.at(checkpoint.done + (batch + 1) / len(batches)),
            on_epoch_end=lambda epoch, logs: progress.at(epoch + 1, checkpoint.progress),
        )
        model.fit(
            batches,
            initial_epoch=done,
            epochs=epochs,
            shuffle=False,  # Keras shuffles by a generator that does not know the epoch; the batches shuffle themselves
            validation_data=(validation.inputs(), films.targets_of(validation)),
            validation_batch_size=VALIDATION_BATCH,
            verbose=0,  # pyright: ignore[reportArgumentType]
            callbacks=[checkpoint, shown],
        )


def _slow_statistics(model: keras.Model, batch: int, films: int) -> None:
    """Let the running means of normalisation span many films, whatever the batch: over fewer they are noise.

    films: Number of films that the whole training sees.
    """
    span = min(STATISTICS_FILMS, STATISTICS_PROPORTION * films)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = max(layer.momentum, 1 - batch / span)
