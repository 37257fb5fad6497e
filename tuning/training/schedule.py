"""The learning rate of a training follows this schedule, step by step."""

import keras

WARM_UP = 0.05
"""The learning rate rises over the first 5% of the steps."""
FIRST, LAST = 1 / 25, 1 / 100
"""The first and the last learning rate are these fractions of the highest."""


def warmup_cosine(learning_rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule that rises to `learning_rate` over the first WARM_UP of `steps`, then falls along a cosine.

    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        FIRST * learning_rate,
        max(1, steps - warm_up),
        alpha=LAST,
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )


def optimizer(learning_rate: float, steps: int) -> keras.Optimizer:
    """Return the optimizer of small networks: AdamW along `warmup_cosine`, with bounded gradients."""
    schedule = warmup_cosine(learning_rate, steps)
    return keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=5.0)  # pyright: ignore[reportArgumentType]
