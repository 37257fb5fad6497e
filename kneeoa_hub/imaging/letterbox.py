"""Letterboxes a knee: its pixels are windowed and fitted into the network's input with their aspect kept.

Training, the library, Flask and the Space all prepare a knee here, so that a network sees the same picture everywhere.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..bundle import InputConfig
from . import frame
from .film import BLOCK_ROWS
from .percentiles import percentiles

Box = tuple[int, int, int, int]
"""A box is left, top, right and bottom in pixels of the film. Right and bottom are exclusive."""
Region = tuple[float, float, float, float]
"""A region is the part of a film that is graded, in pixels: a box, or a square whose edges lie between pixels or beyond
the film.
"""

PERCENTILE_SIDE = 512
"""Percentiles are taken over at most 512 rows and columns, which is enough, and quick on a large film."""
LEAST_SPREAD = float(np.finfo(np.float32).tiny)
"""A film whose percentiles lie closer together is flat. Its values may be of any unit, so this is the least float32."""


@dataclass(frozen=True)
class Letterboxed:
    """Holds a knee in the shape of the network's input.

    Attributes:
        pixels: uint8 [H,W], windowed, with padding if the knee's aspect differs from the input's.
        content: The part of `pixels` that is not padding.
        framed: Whether `pixels` are a frame, see `frame.frame`.
    """

    pixels: np.ndarray
    content: Box
    framed: bool = False

    def exposed(self) -> np.ndarray:
        """Return the pixels whose exposure counts. Of a frame this is the middle, which air does not darken."""
        if self.framed:
            return frame.middle_of(self.pixels, self.content)
        left, top, right, bottom = self.content
        return self.pixels[top:bottom, left:right]


def visible_region(region: Region, config: InputConfig) -> Region:
    """Return the part of a region that the network sees: all, the middle rows, or the square about the middle."""
    left, top, right, bottom = region
    if config.crop == "fit":
        return region
    if config.crop == "frame":
        side = config.reach * max(right - left, bottom - top)
        left, top = (left + right - side) / 2, (top + bottom - side) / 2
        return left, top, left + side, top + side
    rows = min(bottom - top, max(1, round((right - left) * config.height / config.width)))
    first = top + (bottom - top - rows) // 2
    return left, first, right, first + rows


def letterbox(pixels: np.ndarray, region: Region, config: InputConfig) -> Letterboxed:
    """Window what the network sees of a region by its percentiles, and fit it into the input with its aspect kept.

    A config that frames takes the square about the region's middle instead, see `frame.frame`.

    Args:
        pixels: A film [H,W] with bright bone, in any unit.
        region: The knee in whole pixels of the film. If the config frames, the region may have any place and size.
        config: The input's height and width, the window's percentiles, and what of the region is visible.

    Returns:
        The knee in the middle of a picture of the input's shape, whose padding has the knee's mean gray.
    """
    if config.crop == "frame":
        framed = frame.frame(pixels, frame.place_of(region), config.height, (config.low, config.high), config.reach)
        return Letterboxed(framed.pixels, framed.content, framed=True)
    left, top, right, bottom = map(round, visible_region(region, config))
    windowed = _windowed(pixels[top:bottom, left:right], config)
    scale = min(config.width / windowed.shape[1], config.height / windowed.shape[0])
    width, height = (max(1, round(side * scale)) for side in windowed.shape[::-1])
    # Pillow widens the filter when it shrinks a picture, so a large film does not alias.
    fitted = np.asarray(Image.fromarray(windowed).resize((width, height), Image.Resampling.BICUBIC))
    x, y = (config.width - width) // 2, (config.height - height) // 2
    fill = round(float(fitted.mean()))
    padded = np.full((config.height, config.width), fill, np.uint8)
    padded[y : y + height, x : x + width] = fitted
    return Letterboxed(padded, (x, y, x + width, y + height))


def standardise(pixels: np.ndarray, content: Box) -> np.ndarray:
    """Return float32 pixels of mean 0 and standard deviation 1 over the content, which takes the exposure out."""
    left, top, right, bottom = content
    values = pixels[top:bottom, left:right]
    return (pixels.astype(np.float32) - values.mean(dtype=np.float32)) / max(float(values.std()), 1.0)


def network_values(fitted: Letterboxed, config: InputConfig) -> np.ndarray:
    """Return a letterboxed knee as the network's input: float32 [height,width,1]."""
    if config.crop == "frame":
        return frame.network_values(fitted.pixels)
    return standardise(fitted.pixels, fitted.content)[..., None]


def network_input(pixels: np.ndarray, region: Region, config: InputConfig) -> np.ndarray:
    """Return one knee of a film as the network's input: float32 [height,width,1].

    Args:
        pixels: The film [H,W] with bright bone.
        region: The knee, in pixels of the film.
        config: The size and the percentiles of the input.
    """
    return network_values(letterbox(pixels, region, config), config)


def _windowed(crop: np.ndarray, config: InputConfig) -> np.ndarray:
    """Map a crop [H,W] to uint8, with the config's lower percentile at 0 and its upper one at 255."""
    rows, columns = (max(1, -(-side // PERCENTILE_SIDE)) for side in crop.shape)
    low, high = percentiles(crop[::rows, ::columns], (config.low, config.high))
    factor, windowed = 255 / max(high - low, LEAST_SPREAD), np.empty(crop.shape, np.uint8)
    room = np.empty((BLOCK_ROWS, crop.shape[1]))  # the percentiles are float64, so each block is computed in float64
    for start in range(0, len(crop), BLOCK_ROWS):
        block = crop[start : start + BLOCK_ROWS]
        values = np.subtract(block, low, out=room[: len(block)], dtype=np.float64)
        values *= factor
        np.rint(values, out=values)
        np.maximum(values, 0, out=values)
        np.minimum(values, 255, out=values)
        windowed[start : start + BLOCK_ROWS] = values
    return windowed
