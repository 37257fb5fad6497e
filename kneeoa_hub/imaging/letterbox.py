"""A knee's pixels as the network's input: one path for training, the library, Flask and the Space."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..bundle import InputConfig

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in the film's pixels; right and bottom are exclusive."""

PERCENTILE_SAMPLE = 512
"""Percentiles are taken over at most this many rows and columns: enough for a histogram, and quick on a large film."""

LEAST_SPREAD = float(np.finfo(np.float32).tiny)
"""Below it a film is flat; its values may be of any unit."""

BLOCK = 64
"""Rows that are windowed at a time, so that a large film takes little memory beside its pixels."""


@dataclass(frozen=True)
class Letterboxed:
    """The crop after windowing, resized to fit the input's shape: uint8 [H,W]; `content` is what is not padding."""

    pixels: np.ndarray
    content: Box


def seen(box: Box, config: InputConfig) -> Box:
    """The part of a knee's box that the network sees."""
    left, top, right, bottom = box
    if config.crop == "fit":
        return box
    rows = min(bottom - top, max(1, round((right - left) * config.height / config.width)))
    start = top + (bottom - top - rows) // 2
    return left, start, right, start + rows


def letterbox(pixels: np.ndarray, box: Box, config: InputConfig) -> Letterboxed:
    """Window what is seen of a box of a [H,W] film by its percentiles, and fit it, aspect kept, into the input's
    shape.
    """
    left, top, right, bottom = seen(box, config)
    crop = pixels[top:bottom, left:right]
    window = _window(crop, config)
    height, width = config.height, config.width
    scale = min(width / crop.shape[1], height / crop.shape[0])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    # Pillow widens the filter when it shrinks a picture, so a large film does not alias.
    fitted = np.asarray(Image.fromarray(window).resize(size, Image.Resampling.BICUBIC))
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    padded = np.full((height, width), round(float(fitted.mean())), np.uint8)
    padded[y : y + size[1], x : x + size[0]] = fitted
    return Letterboxed(padded, (x, y, x + size[0], y + size[1]))


def standardise(pixels: np.ndarray, content: Box) -> np.ndarray:
    """float32 of the same shape; mean 0 and standard deviation 1 over the content, so exposure drops out."""
    left, top, right, bottom = content
    values = pixels[top:bottom, left:right]
    return (pixels.astype(np.float32) - values.mean(dtype=np.float32)) / max(float(values.std()), 1.0)


def network_input(pixels: np.ndarray, box: Box, config: InputConfig) -> np.ndarray:
    """[height,width,1] float32 for one knee."""
    fitted = letterbox(pixels, box, config)
    return standardise(fitted.pixels, fitted.content)[..., None]


def _window(crop: np.ndarray, config: InputConfig) -> np.ndarray:
    steps = [max(1, -(-side // PERCENTILE_SAMPLE)) for side in crop.shape]
    low, high = np.percentile(crop[:: steps[0], :: steps[1]], (config.low, config.high))
    factor, windowed = 255 / max(high - low, LEAST_SPREAD), np.empty(crop.shape, np.uint8)
    for start in range(0, len(crop), BLOCK):  # the limits are float64, and so is what is reckoned with them
        rows = crop[start : start + BLOCK]
        windowed[start : start + BLOCK] = np.clip(np.rint((rows - low) * factor), 0, 255).astype(np.uint8)
    return windowed
