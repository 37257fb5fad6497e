"""Training minimises these losses and shows this metric, for targets and probabilities [N,5].

With P reading protocols they are [N,P,5]; a target of zeros, of a protocol by which nobody graded the film, costs
nothing.
"""

from collections.abc import Callable

import keras

from kneeoa_hub.grades import NUM_GRADES

from ..run.keras_ops import ops

EPSILON = 1e-6
"""This keeps logarithms and quotients finite."""


@keras.saving.register_keras_serializable("kneeoa")
class SoftOrdinal(keras.losses.Loss):
    """This cross-entropy gives neighbouring grades a part of the target, which falls with the square of the distance.

    Diaz & Marathe, "Soft labels for ordinal regression", CVPR 2019.
    """

    def __init__(self, spread: float = 0.4, name: str = "soft_ordinal", **kwargs):
        """Take the standard deviation of the target in grades, `spread`."""
        super().__init__(name=name, **kwargs)
        self.spread = spread

    def call(self, y_true, y_pred):
        """Return the loss of each film [N]."""
        grades = ops.arange(NUM_GRADES, dtype="float32")
        distance = (grades[:, None] - grades[None, :]) / self.spread
        soft = ops.matmul(ops.cast(y_true, "float32"), ops.softmax(-0.5 * distance**2, axis=-1))
        return _of_film(-ops.sum(soft * ops.log(ops.clip(y_pred, EPSILON, 1.0)), axis=-1))

    def get_config(self):
        """Return what Keras saves of the loss."""
        return {**super().get_config(), "spread": self.spread}


@keras.saving.register_keras_serializable("kneeoa")
class Coral(keras.losses.Loss):
    """This loss is the sum of the binary cross-entropies of "the grade is greater than k", k = 0..3.

    Cao, Mirjalili & Raschka, "Rank consistent ordinal regression", Pattern Recognition Letters 2020.
    """

    def call(self, y_true, y_pred):
        """Return the loss of each film [N]."""
        y_true = ops.cast(y_true, "float32")
        up_to_true, up_to_pred = _mass_up_to(y_true), ops.clip(_mass_up_to(y_pred), EPSILON, 1 - EPSILON)
        over_true = ops.sum(y_true, axis=-1, keepdims=True) - up_to_true
        return _of_film(-ops.sum(over_true * ops.log(1 - up_to_pred) + up_to_true * ops.log(up_to_pred), axis=-1))


def _of_film(losses):
    """Return [N,P] or [N] as [N]."""
    return ops.sum(losses, axis=1) if len(losses.shape) > 1 else losses


def _mass_up_to(probabilities):
    """Return [...,5] as [...,4]: the probabilities of a grade of at most 0, 1, 2 and 3."""
    return ops.cumsum(probabilities, axis=-1)[..., :-1]


LOSSES: dict[str, Callable[[], keras.losses.Loss]] = {
    "cross_entropy": keras.losses.CategoricalCrossentropy,
    "soft_ordinal": SoftOrdinal,
    "coral": lambda: Coral(name="coral"),
}
"""The search space names each loss by its key; the value makes it."""


def loss_for(name: str) -> keras.losses.Loss:
    """Return the loss of a name in LOSSES."""
    return LOSSES[name]()


@keras.saving.register_keras_serializable("kneeoa")
class QuadraticKappa(keras.metrics.Metric):
    """This metric is the quadratic weighted kappa of the reader's and the likeliest grade, over an epoch."""

    def __init__(self, name: str = "qwk", **kwargs):
        super().__init__(name=name, **kwargs)
        self.confusion = self.add_weight(shape=(NUM_GRADES, NUM_GRADES), initializer="zeros", name="confusion")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the films of a batch.

        Args:
            y_true: The targets [B,5], or [B,P,5] with zeros for the protocols by which a film was not graded.
            y_pred: The probabilities, in the same shape.
            sample_weight: Unused; Keras passes it.
        """
        if len(y_pred.shape) > 2:  # the protocol by which the film was graded
            graded_by = ops.cast(ops.max(y_true, axis=-1, keepdims=True) > 0, "float32")
            y_true, y_pred = ops.sum(y_true, axis=1), ops.sum(y_pred * graded_by, axis=1)
        given = ops.one_hot(ops.argmax(y_true, axis=-1), NUM_GRADES)
        graded = ops.one_hot(ops.argmax(y_pred, axis=-1), NUM_GRADES)
        self.confusion.assign_add(ops.matmul(ops.transpose(given), graded))

    def result(self):
        """Return the kappa of the films that were counted."""
        grades = ops.arange(NUM_GRADES, dtype="float32")
        weights = (grades[:, None] - grades[None, :]) ** 2
        observed = ops.sum(weights * self.confusion)
        expected = ops.sum(
            weights * ops.sum(self.confusion, 1, keepdims=True) * ops.sum(self.confusion, 0, keepdims=True)
        )
        total = ops.sum(self.confusion)
        return 1.0 - ops.where(expected > 0, observed * total / ops.maximum(expected, EPSILON), 1.0)
