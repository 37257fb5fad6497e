"""The finder's network: a small fully convolutional net that marks the middle of every joint and says how large the
joint is.

After Zhou et al., "Objects as points" (2019): a heat map of middles, and beside it what belongs to each.
"""

import contextlib
import io
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from kneeoa_hub.bundle import InputConfig

STRIDE = 8
"""Input pixels of one place of the heat map."""
WIDTHS = (16, 24, 48, 64, 96)
SPREAD = 0.09
"""Deviation of the heat about a joint's middle, in sides of the joint."""
SHAPED_FROM = 0.3
"""Heat from which a place learns the joint's middle and side."""
SHAPE_WEIGHT = 1.0


def build(config: InputConfig) -> keras.Model:
    """image [N,H,W,1] -> [N,H/8,W/8,4]: the heat's logit, then the joint's shape as `imaging.locate.Locator` reads
    it.
    """
    image = keras.Input((config.height, config.width, 1), name="image")
    x = _conv(image, WIDTHS[0], 5, 2)
    x = _conv(x, WIDTHS[1], 3, 2)
    kept = []
    for width in WIDTHS[2:]:
        x = _conv(_conv(x, width, 3, 2), width, 3)
        kept.append(x)
    whole = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Add()([x, layers.Dense(WIDTHS[-1], activation="relu")(whole)])
    for width, below in ((WIDTHS[3], kept[1]), (WIDTHS[2], kept[0])):
        x = layers.UpSampling2D(2)(_conv(x, width, 1))
        x = _conv(layers.Add()([x, below]), width, 3)
    x = _conv(x, WIDTHS[2], 3)
    # As rare as joints are among the places, the heat begins low.
    heat = layers.Conv2D(1, 1, bias_initializer=keras.initializers.Constant(-4.0), name="heat_logit")(x)
    return keras.Model(image, layers.Concatenate()([heat, layers.Conv2D(3, 1, name="shape")(x)]), name="locator")


def targets(joints: list[np.ndarray], config: InputConfig) -> np.ndarray:
    """[N,h,w,4] float32 from the joints of N films, [K,3] each (x, y, side in input pixels): heat, then the shape of
    the nearest joint.
    """
    rows, columns = config.height // STRIDE, config.width // STRIDE
    y, x = ((np.mgrid[:rows, :columns] + 0.5) * STRIDE).astype(np.float32)
    wanted = np.zeros((len(joints), rows, columns, 4), np.float32)
    for film, of_film in zip(wanted, joints, strict=True):
        for middle_x, middle_y, side in of_film:
            spread = max(SPREAD * side, 0.75 * STRIDE)
            away = (x - middle_x) ** 2 + (y - middle_y) ** 2
            heat = np.exp(-0.5 * away / spread**2)
            heat[np.unravel_index(away.argmin(), away.shape)] = 1
            nearer = heat > film[..., 0]
            film[nearer, 0] = heat[nearer]
            film[nearer, 1] = (middle_x - x[nearer]) / side
            film[nearer, 2] = (middle_y - y[nearer]) / side
            film[nearer, 3] = np.log(side / config.width)
    return wanted


def loss(wanted, given):
    """Focal loss of the heat (Law & Deng, "CornerNet", ECCV 2018), and the absolute error of the shape where the heat
    is.
    """
    heat, logit = wanted[..., 0], given[..., 0]
    share = ops.sigmoid(logit)
    middle = ops.cast(heat >= 0.999, "float32")
    missed = middle * ops.square(1 - share) * ops.softplus(-logit)
    surplus = (1 - middle) * (1 - heat) ** 4 * ops.square(share) * ops.softplus(logit)
    weight = ops.where(heat >= SHAPED_FROM, heat, 0.0)
    error = ops.sum(ops.abs(wanted[..., 1:] - given[..., 1:]), axis=-1)
    # By film, not by batch, so that a film without a joint counts as much as another.
    joints = ops.maximum(ops.sum(middle, axis=(1, 2)), 1.0)
    shape = ops.sum(weight * error, axis=(1, 2)) / ops.maximum(ops.sum(weight, axis=(1, 2)), 1.0)
    return ops.mean(ops.sum(missed + surplus, axis=(1, 2)) / joints + SHAPE_WEIGHT * shape)


def write_onnx(model: keras.Model, path: Path) -> None:
    """The trained network as locator.onnx, with the outputs that the library reads."""
    logit, shape = ops.split(model.output, [1], axis=-1)
    heat = layers.Reshape(logit.shape[1:3])(layers.Activation("sigmoid")(logit))
    whole = keras.Model(model.input, {"heat": heat, "shape": shape})
    whole.predict_on_batch(np.zeros((1, *model.input.shape[1:]), np.float32))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # in Keras's exporter
        whole.export(path, format="onnx", verbose=False)


def _conv(x, width: int, kernel: int, stride: int = 1):
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.95)(x))
