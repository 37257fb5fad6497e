"""The network of the reader of markers: small, fully convolutional, and with the same weights at every place."""

# Keras says of its operations that they may return nothing, or a list.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false, reportOptionalOperand=false

import contextlib
import io
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from kneeoa_hub.imaging.markers import INPUT, LETTERS, OUTPUT

WIDTHS = (8, 8, 16, 16, 16, 24)
"""Channels of the layers; the first and the third one halve the resolution."""
RARE = (4.0, 0.0, 0.0)
"""Logits with which a training begins, because letters are rare among the places."""
FOCUS = 2.0
"""Exponent by which cells that are nearly right count less (Lin et al., "Focal loss for dense detection", 2017)."""


def build() -> keras.Model:
    """Return a network from image [N,H,W,1] to the probabilities [N,H/4,W/4,3] of no letter, R and L.

    A cell sees 51 pixels of the input in each direction, which is more than a letter with its box.
    """
    image = x = keras.Input((None, None, 1), name="image")
    for place, width in enumerate(WIDTHS):
        x = layers.Conv2D(width, 3, 2 if place in (0, 2) else 1, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.95)(x))
    x = layers.Conv2D(WIDTHS[-1], 3, padding="same", activation="relu")(x)
    start = keras.initializers.Constant(RARE)
    x = layers.Conv2D(1 + len(LETTERS), 1, activation="softmax", bias_initializer=start)(x)
    return keras.Model(image, x, name="markers")


def loss(wanted, given):
    """Return the focal loss: the sum over a batch's cells by its number of cells with letters. Cells of 0 count not."""
    right = ops.sum(wanted * given, axis=-1)
    asked = ops.sum(wanted, axis=-1)
    cells = -asked * (1 - right) ** FOCUS * ops.log(ops.clip(right, 1e-6, 1.0))
    return ops.sum(cells) / ops.maximum(ops.sum(wanted[..., 1:]), 1.0)


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write the trained network as the library reads it."""
    image = keras.Input((INPUT.height, INPUT.width, 1), name="image")
    whole = keras.Model(image, {OUTPUT: model(image)})
    whole.predict_on_batch(np.zeros((1, INPUT.height, INPUT.width, 1), np.float32))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # in Keras's exporter
        whole.export(path, format="onnx", verbose=False)
