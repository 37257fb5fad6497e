"""One step of a training is a program of JAX: changes of films, network, loss, AdamW and averaged weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras

from ..data import changes

CLIP = 2.0
"""A longer gradient is shortened to this length."""


class Films(NamedTuple):
    """All films of a pack lie in the accelerator's memory.

    Attributes:
        pixels: See `pack.Packed.films`.
        joints: See `pack.Packed`.
        content: See `pack.Packed`.
        bank: See `changes.noise_bank`.
    """

    pixels: Any
    joints: Any
    content: Any
    bank: Any


class State(NamedTuple):
    """A step changes this state; its lists have an array for each variable of the model, in the model's order.

    Attributes:
        weights: The trainable variables.
        fixed: The other variables.
        first: First moments of the gradients.
        second: Second moments of the gradients.
        mean: Averages of the weights over the steps, which are what is kept (Polyak & Juditsky, SIAM J. Control Optim.
            1992).
        mean_fixed: The same averages of the other variables.
        step: Number of steps that were done.
    """

    weights: list[Any]
    fixed: list[Any]
    first: list[Any]
    second: list[Any]
    mean: list[Any]
    mean_fixed: list[Any]
    step: Any


class Rates(NamedTuple):
    """Rates may differ from step to step and from job to job without a new compilation; each is a float32.

    Attributes:
        learning: The learning rate.
        decay: Decay of the weights.
        ema: Proportion of the averaged weights that a step keeps.
    """

    learning: Any
    decay: Any
    ema: Any


def begin(model: keras.Model) -> State:
    """Return the state before the first step, with the model's weights as they are."""
    weights = [jnp.array(variable.value) for variable in model.trainable_variables]
    fixed = [jnp.array(variable.value) for variable in model.non_trainable_variables]
    first, second = ([jnp.zeros_like(weight) for weight in weights] for _ in range(2))
    mean, mean_fixed = [jnp.array(weight) for weight in weights], [jnp.array(value) for value in fixed]
    return State(weights, fixed, first, second, mean, mean_fixed, jnp.zeros((), jnp.int32))


def seen(films: Films, rows: Any, draws: changes.Draws, side: int) -> Any:
    """Return what a network sees of some films after their changes: [B,side,side,1].

    Args:
        films: Every film on the accelerator.
        rows: The films of the batch [B].
        draws: The change of each film of the batch.
        side: The side of the network's input, in pixels.
    """
    pixels, joints, content = (jnp.take(array, rows, axis=0) for array in films[:3])
    return changes.framed(pixels, joints, content, draws, films.bank, side)


def answer(model: keras.Model, side: int, state: State, films: Films, rows: Any, draws: changes.Draws) -> Any:
    """Return the probabilities of the averaged weights for some films: [B,protocols,5].

    Args:
        model: The network.
        side: The side of its input, in pixels.
        state: The weights.
        films: Every film on the accelerator.
        rows: The films of the batch [B].
        draws: The change of each film of the batch.
    """
    return model.stateless_call(state.mean, state.mean_fixed, seen(films, rows, draws, side), training=False)[0]


def train(
    model: keras.Model,
    side: int,
    state: State,
    films: Films,
    rows: Any,
    draws: changes.Draws,
    wanted: Any,
    weight: Any,
    rates: Rates,
) -> tuple[State, Any]:
    """Take one step of the training.

    Args:
        model: The network.
        side: The side of its input, in pixels.
        state: The weights and the optimizer's moments.
        films: Every film on the accelerator.
        rows: The films of the batch [B].
        draws: The change of each film of the batch.
        wanted: The target probabilities [B,protocols,5].
        weight: The weight of each target in the loss [B,protocols].
        rates: Learning rate, decay and the rates of the averages.

    Returns:
        The new state, and the loss before the step.
    """
    image = seen(films, rows, draws, side)
    wanted, weight = _mixed(wanted, draws), _mixed(weight, draws)

    def loss(weights: list[Any]) -> tuple[Any, Any]:
        answers, fixed, *_ = model.stateless_call(weights, state.fixed, image, training=True)
        each = -jnp.sum(wanted * jnp.log(jnp.clip(answers, 1e-6, 1.0)), axis=-1)
        return jnp.sum(each * weight) / jnp.sum(weight), fixed

    (value, fixed), slopes = jax.value_and_grad(loss, has_aux=True)(state.weights)
    return _moved(state, slopes, fixed, rates), value


def _mixed(values: Any, draws: changes.Draws) -> Any:
    proportion = jnp.reshape(draws.mix, (-1,) + (1,) * (values.ndim - 1))
    return proportion * values + (1 - proportion) * jnp.take(values, draws.partner, axis=0)


def _moved(state: State, slopes: list[Any], fixed: list[Any], rates: Rates) -> State:
    """AdamW (Loshchilov & Hutter, ICLR 2019) on gradients cut to CLIP; only matrices decay."""
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(slope)) for slope in slopes))
    slopes = [slope * jnp.minimum(1.0, CLIP / (norm + 1e-9)) for slope in slopes]
    count = (state.step + 1).astype(jnp.float32)
    first = [0.9 * old + 0.1 * slope for old, slope in zip(state.first, slopes, strict=True)]
    second = [0.999 * old + 0.001 * jnp.square(slope) for old, slope in zip(state.second, slopes, strict=True)]
    scale = jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    weights = [
        old - rates.learning * (scale * one / (jnp.sqrt(two) + 1e-8) + (rates.decay * old if old.ndim > 1 else 0.0))
        for old, one, two in zip(state.weights, first, second, strict=True)
    ]
    keep = jnp.minimum(rates.ema, (1 + count) / (10 + count))  # the first steps are soon forgotten
    return State(
        weights,
        fixed,
        first,
        second,
        [keep * old + (1 - keep) * new for old, new in zip(state.mean, weights, strict=True)],
        [_averaged(old, new, keep) for old, new in zip(state.mean_fixed, fixed, strict=True)],
        state.step + 1,
    )


def _averaged(old: Any, new: Any, keep: Any) -> Any:
    return keep * old + (1 - keep) * new if jnp.issubdtype(new.dtype, jnp.floating) else new
