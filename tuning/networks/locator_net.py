"""The locator's network is a small fully convolutional net that marks every joint's centre and estimates its size.

After Zhou et al., "Objects as points" (2019): a heatmap of centres, and for each place the shape of the joint.
"""

from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import InputConfig

from ..run.keras_ops import layers, ops
from . import small

STRIDE = 8
"""A place of the heatmap stands for eight pixels of the input, per side."""
WIDTHS = (16, 24, 48, 64, 96)
"""Each stage has one of these numbers of channels, and halves the resolution."""
SPREAD = 0.09
"""The heat around a joint's centre has this standard deviation, in sides of the joint."""
SHAPED_FROM = 0.3
"""A place with at least this heat learns the joint's centre and side."""
SHAPE_WEIGHT = 1.0
"""The error of the shape has this weight in the loss."""
RARE = -4.0
"""The heat begins with this logit, because joints are rare among the places."""


def build(config: InputConfig) -> keras.Model:
    """Return a network from image [N,H,W,1] to [N,H/8,W/8,4].

    The first channel is the heat's logit, the others are the joint's shape as `imaging.locate.Locator` reads it.
    """
    image = keras.Input((config.height, config.width, 1), name="image")
    x = small.conv(image, WIDTHS[0], 5, 2)
    x = small.conv(x, WIDTHS[1], 3, 2)
    kept = []
    for width in WIDTHS[2:]:
        x = small.conv(small.conv(x, width, 3, 2), width, 3)
        kept.append(x)
    whole = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Add()([x, layers.Dense(WIDTHS[-1], activation="relu")(whole)])
    for width, below in ((WIDTHS[3], kept[1]), (WIDTHS[2], kept[0])):
        x = layers.UpSampling2D(2)(small.conv(x, width, 1))
        x = small.conv(layers.Add()([x, below]), width, 3)
    x = small.conv(x, WIDTHS[2], 3)
    heat = layers.Conv2D(1, 1, bias_initializer=keras.initializers.Constant(RARE), name="heat_logit")(x)
    return keras.Model(image, layers.Concatenate()([heat, layers.Conv2D(3, 1, name="shape")(x)]), name="locator")


def targets(joints: list[np.ndarray], config: InputConfig) -> np.ndarray:
    """Return [N,h,w,4] float32: the heat, then the shape of the nearest joint.

    Args:
        joints: For each of N films, [K,3]: centre x, centre y and side in input pixels.
        config: The network's input.
    """
    rows, columns = config.height // STRIDE, config.width // STRIDE
    y, x = ((np.mgrid[:rows, :columns] + 0.5) * STRIDE).astype(np.float32)
    wanted = np.zeros((len(joints), rows, columns, 4), np.float32)
    for film, of_film in zip(wanted, joints, strict=True):
        for centre_x, centre_y, side in of_film:
            spread = max(SPREAD * side, 0.75 * STRIDE)
            away = (x - centre_x) ** 2 + (y - centre_y) ** 2
            heat = np.exp(-0.5 * away / spread**2)
            heat[np.unravel_index(away.argmin(), away.shape)] = 1
            nearer = heat > film[..., 0]
            film[nearer, 0] = heat[nearer]
            film[nearer, 1] = (centre_x - x[nearer]) / side
            film[nearer, 2] = (centre_y - y[nearer]) / side
            film[nearer, 3] = np.log(side / config.width)
    return wanted


def loss(wanted, given):
    """Return the focal loss of the heat plus the absolute error of the shape where the heat is.

    Law & Deng, "CornerNet", ECCV 2018.

    Args:
        wanted: [N,h,w,4], see `targets`.
        given: [N,h,w,4], see `build`.
    """
    heat, logit = wanted[..., 0], given[..., 0]
    probability = ops.sigmoid(logit)
    centre = ops.cast(heat >= 0.999, "float32")
    missed = centre * ops.square(1 - probability) * ops.softplus(-logit)
    surplus = (1 - centre) * (1 - heat) ** 4 * ops.square(probability) * ops.softplus(logit)
    weight = ops.where(heat >= SHAPED_FROM, heat, 0.0)
    error = ops.sum(ops.abs(wanted[..., 1:] - given[..., 1:]), axis=-1)
    # By film, not by batch, so that a film without a joint counts as much as any other.
    joints = ops.maximum(ops.sum(centre, axis=(1, 2)), 1.0)
    shape = ops.sum(weight * error, axis=(1, 2)) / ops.maximum(ops.sum(weight, axis=(1, 2)), 1.0)
    return ops.mean(ops.sum(missed + surplus, axis=(1, 2)) / joints + SHAPE_WEIGHT * shape)


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write the trained network as locator.onnx, with the outputs that the library reads."""
    logit, shape = ops.split(model.output, [1], axis=-1)
    heat = layers.Reshape(logit.shape[1:3])(layers.Activation("sigmoid")(logit))
    small.write_onnx(keras.Model(model.input, {"heat": heat, "shape": shape}), path)
