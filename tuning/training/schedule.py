"""The learning rate of a training, step by step."""

import keras

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises."""


def warmup_cosine(learning_rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A rate that rises over the first WARM_UP of the steps and falls to a hundredth along a cosine.

    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        learning_rate / 25, max(1, steps - warm_up), alpha=0.01, warmup_target=learning_rate, warmup_steps=warm_up
    )
