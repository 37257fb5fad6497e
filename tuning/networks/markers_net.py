"""Builds the two networks that read markers: the places network, the same at every place, and the letters network."""

from pathlib import Path

import keras

from kneeoa_hub.imaging.markers import INPUT, LETTERS, LETTERS_OUTPUT, PLACES_OUTPUT, STRIDE, WINDOW

from ..run.keras_ops import layers, ops
from .small import conv, write_onnx

PLACES_WIDTH = 16
RARE = -4.0
"""The training of the places network begins with this logit, because letters are rare among the places."""
FOCUS = 2.0
"""Cells that are nearly right count less by this exponent (Lin et al., "Focal loss for dense detection", 2017)."""
READER_LAYERS = ((12, 2), (24, 1), (32, 2), (32, 1), (48, 2), (48, 1))
"""The layers of the letters network have these channels and strides."""
SMOOTHING = 0.01


def build_places_network() -> keras.Model:
    """Return a network from image [N,H,W,1] to the probability [N,H/4,W/4,1] that a cell holds the middle of a letter.

    A cell sees 15 pixels of the input in each direction, which is a letter with its box.
    """
    image = x = keras.Input((None, None, 1), name="image")
    x = conv(x, PLACES_WIDTH, STRIDE + 2, STRIDE)
    for _ in range(3):
        x = conv(x, PLACES_WIDTH)
    start = keras.initializers.Constant(RARE)
    x = layers.Conv2D(1, 1, activation="sigmoid", bias_initializer=start)(x)
    return keras.Model(image, x, name="places")


def build_letters_network() -> keras.Model:
    """Return a network from windows [N,WINDOW,WINDOW,1] to the probabilities [N,3] of no letter, R and L."""
    image = x = keras.Input((WINDOW, WINDOW, 1), name="image")
    for width, stride in READER_LAYERS:
        x = conv(x, width, stride=stride)
    x = layers.Dense(48, activation="relu")(layers.Flatten()(x))
    x = layers.Dense(1 + len(LETTERS), activation="softmax")(layers.Dropout(0.2)(x))
    return keras.Model(image, x, name="letters")


def places_loss(wanted, given):
    """Return the focal loss: the sum over a batch's cells by its number of letters. Cells of -1 count not."""
    given = ops.clip(given, 1e-6, 1 - 1e-6)
    letter = ops.cast(wanted == 1, given.dtype)
    none = ops.cast(wanted == 0, given.dtype)
    cells = -letter * (1 - given) ** FOCUS * ops.log(given) - none * given**FOCUS * ops.log(1 - given)
    return ops.sum(cells) / ops.maximum(ops.sum(letter), 1.0)


def letters_loss() -> keras.losses.Loss:
    """Return the cross-entropy with smoothed classes, so that a probability near 1 has a meaning."""
    return keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING)


def write_places_network(model: keras.Model, path: Path) -> None:
    """Write the trained places network as the library reads it."""
    image = keras.Input((INPUT.height, INPUT.width, 1), name="image")
    write_onnx(keras.Model(image, {PLACES_OUTPUT: model(image)}), path)


def write_letters_network(model: keras.Model, path: Path) -> None:
    """Write the trained letters network as the library reads it."""
    image = keras.Input((WINDOW, WINDOW, 1), name="image")
    write_onnx(keras.Model(image, {LETTERS_OUTPUT: model(image)}), path)
