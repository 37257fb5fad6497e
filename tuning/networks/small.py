"""The small networks share a layer, and the way in which they are written for the library."""

import contextlib
import io
import warnings
from pathlib import Path

import keras
import numpy as np

from ..run.keras_ops import layers


def conv(x, width: int, kernel: int = 3, stride: int = 1):
    """Return a convolution with batch normalisation and ReLU.

    Args:
        x: What it works on.
        width: The number of its channels.
        kernel: The pixels of a side of its kernel.
        stride: The step between two of its places.
    """
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.95)(x))


def write_onnx(whole: keras.Model, path: Path) -> None:
    """Write a network whose one input has a size and whose outputs have names."""
    # Keras exports only a model that has been called.
    whole.predict_on_batch(np.zeros((1, *whole.input_shape[1:]), np.float32))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # in Keras's exporter
        whole.export(path, format="onnx", verbose=False)
