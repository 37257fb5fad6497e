"""The gate's network is a small net that tells an upright frontal knee from other poses, faults and other things."""

from pathlib import Path

import keras

from kneeoa_hub.imaging.gate import CLASSES
from kneeoa_hub.runtime import GATE_OUTPUT

from ..run.keras_ops import layers, ops
from . import small

WIDTHS = (16, 32, 64, 96)
"""Each stage has one of these numbers of channels, and halves the resolution."""


def build(side: int) -> keras.Model:
    """Return a network from image [N,side,side,1] to probabilities of `imaging.gate.CLASSES` [N,11]."""
    image = keras.Input((side, side, 1), name="image")
    x = image
    for width in WIDTHS:
        for stride in (2, 1):
            x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.Activation("relu")(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = layers.Dropout(0.3)(x)
    return keras.Model(image, layers.Dense(len(CLASSES), activation="softmax")(x), name="gate")


def with_mirror(model: keras.Model) -> keras.Model:
    """Return the network averaged over a film and its mirror image.

    A knee and its mirror image have one pose, except for quarter turns, which change places.
    """
    swapped = [
        CLASSES.index((-kind[0] % 4, kind[1])) if isinstance(kind, tuple) else place
        for place, kind in enumerate(CLASSES)
    ]
    mirrored = ops.take(model(ops.flip(model.input, axis=2)), swapped, axis=1)
    return keras.Model(model.input, (model.output + mirrored) / 2, name="gate")


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write the network as gate.onnx, with the output that the library reads."""
    # ONNX names an output after its layer.
    named = keras.Model(model.input, {GATE_OUTPUT: layers.Activation("linear", name=GATE_OUTPUT)(model.output)})
    small.write_onnx(named, path)
