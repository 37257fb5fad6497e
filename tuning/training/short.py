"""Locator and networks of the markers are small, and are trained in one go, without a checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..run import steps
from .schedule import optimizer

Batch = tuple[np.ndarray, np.ndarray]
"""A batch holds the inputs and targets of one step."""


@dataclass(frozen=True)
class ShortTraining:
    """These are the options of such a training.

    Attributes:
        epochs: Passes over the examples.
        batch: Examples of one step.
        learning_rate: The highest learning rate.
        seed: Seed of the draws and the weights.
    """

    epochs: int
    batch: int
    learning_rate: float
    seed: int


def train(
    build: Callable[[], keras.Model],
    loss: Any,
    settings: ShortTraining,
    examples: int,
    batch: Callable[[np.ndarray, np.random.Generator], Batch],
    title: str,
) -> keras.Model:
    """Return a network after `settings.epochs` over the examples.

    Args:
        build: Makes the network.
        loss: The loss, as Keras takes it.
        settings: The options.
        examples: The number of the examples.
        batch: Makes a batch of the examples with these numbers, changed at random every time.
        title: The name of the training beside its progress.
    """
    keras.utils.set_random_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, 1])
    model = build()
    size = min(settings.batch, examples)
    batches = examples // size
    # Compiling takes longer than it saves in so short a training.
    model.compile(optimizer(settings.learning_rate, settings.epochs * batches), loss, jit_compile=False)  # pyright: ignore[reportArgumentType]
    model.optimizer.build(model.trainable_variables)  # otherwise Keras traces the first step twice
    order = np.concatenate([rng.permutation(examples)[: batches * size] for _ in range(settings.epochs)])
    for rows in steps.progress(order.reshape(-1, size), title):
        model.train_on_batch(*batch(rows, rng))
    return model
