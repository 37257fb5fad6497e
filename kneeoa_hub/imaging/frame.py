"""One frame for every knee: the joint in the middle, one scale, one exposure, however the film was cut or framed.

The same step makes the films of a training and those that are graded. What lies beyond the film is as dark as air.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 256
"""Pixels of a frame's side."""
REACH = 1.0
"""Side of a frame over that of the joint's box. A closer one loses the margins of the joint, where osteophytes are."""
CENTRE = 0.2, 0.3, 0.8, 0.7
"""Left, top, right, bottom of the part that sets the exposure, in sides of the frame: bone in nearly every film."""
LOW, HIGH = 2.0, 98.0
"""Percentiles of that part that become 0 and 1."""
DARKEST, BRIGHTEST = -0.4, 1.4
"""What is beyond these is cut off."""
SAMPLES = 96
"""Rows and columns of the frame's middle over which the percentiles are taken at most."""
LEAST_SPREAD = float(np.finfo(np.float32).tiny)
"""Below it a film is flat; its values may be of any unit."""


@dataclass(frozen=True)
class Place:
    """A knee in film pixels: the middle of its joint, and the side of its box, which may reach beyond the film."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Framed:
    """A knee in its frame.

    pixels: uint8 [S,S], 0 the darkest and 255 the brightest gray that is kept. content: (left, top, right, bottom) of
    the part that the film shows.
    """

    pixels: np.ndarray
    content: tuple[int, int, int, int]


def frame(pixels: np.ndarray, place: Place, side: int = SIDE) -> Framed:
    """Bring one knee of a [H,W] film, bright bone, into a frame of `side` pixels."""
    step = place.side * REACH / side
    left, top = place.x - step * side / 2, place.y - step * side / 2
    height, width = pixels.shape
    first, last = _shown(left, step, width, side)
    start, stop = _shown(top, step, height, side)
    values = np.full((side, side), np.nan, np.float32)
    if last > first and stop > start:
        box = (left + first * step, top + start * step, left + last * step, top + stop * step)
        values[start:stop, first:last] = _resampled(pixels, box, (last - first, stop - start))
    low, high = exposure(values)
    scaled = np.nan_to_num((values - low) / max(high - low, LEAST_SPREAD), nan=DARKEST)
    levels = (np.clip(scaled, DARKEST, BRIGHTEST) - DARKEST) / (BRIGHTEST - DARKEST)
    return Framed(np.rint(255 * levels).astype(np.uint8), (first, start, last, stop))


def _shown(begin: float, step: float, length: int, side: int) -> tuple[int, int]:
    """The first pixel of a frame's row or column that lies in a film of this length, and the one behind the last."""
    slack = 1e-6  # of a pixel, so that rounding does not cost a frame its edge
    first, last = np.ceil(-begin / step - slack), np.floor((length - begin) / step + slack)
    return int(np.clip(first, 0, side)), int(np.clip(last, 0, side))


def _resampled(pixels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """The part `box` of a film (left, top, right, bottom) as float32 of `size` (width, height).

    Pillow widens its filter when it shrinks a picture, so a large film does not alias.
    """
    height, width = pixels.shape
    left, top = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    right, bottom = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
    part = np.ascontiguousarray(pixels[top:bottom, left:right], np.float32)
    inner = (max(0.0, box[0] - left), max(0.0, box[1] - top), min(right, box[2]) - left, min(bottom, box[3]) - top)
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC, box=inner))


def exposure(values: np.ndarray) -> tuple[float, float]:
    """What becomes 0 and 1 of a frame [S,S] in the film's units, NaN beyond the film: percentiles of its middle."""
    side = len(values)
    left, top, right, bottom = (round(edge * side) for edge in CENTRE)
    middle = values[top:bottom, left:right]
    middle = middle[:: -(-middle.shape[0] // SAMPLES), :: -(-middle.shape[1] // SAMPLES)]
    known = middle[~np.isnan(middle)]
    if not known.size:
        known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, (LOW, HIGH))
    return float(low), float(high)


def network_values(pixels: np.ndarray) -> np.ndarray:
    """Frames uint8 [...,S,S] as a network sees them: float32 [...,S,S,1], about -2 to 2 where there is bone."""
    return ((pixels.astype(np.float32) / 255 * (BRIGHTEST - DARKEST) + DARKEST - 0.5) * 4)[..., None]
