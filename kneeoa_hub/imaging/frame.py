"""One frame for every knee: the joint in the middle, one scale, one exposure, however the film was cut or framed.

The same step makes the films of a training and those that are graded. What lies beyond the film is as dark as air.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 256
"""Pixels of a frame's side."""
REACH = 0.86
"""Side of a frame over that of the joint's box: what nearly every film shows of a knee, strips and close cuts left out."""
CENTRE = 0.2, 0.3, 0.8, 0.7
"""Left, top, right, bottom of the part that sets the exposure, in sides of the frame: bone on nearly every film."""
LOW, HIGH = 2.0, 98.0
"""Percentiles of that part that become 0 and 1."""
DARKEST, BRIGHTEST = -0.25, 1.25
"""What is beyond these is cut off."""
SAMPLES = 96
"""Rows and columns of the frame's middle over which the percentiles are taken at most."""
LEAST_SPREAD = float(np.finfo(np.float32).tiny)
"""Below it a film is flat; its values may be of any unit."""


@dataclass(frozen=True)
class Place:
    """Where a knee is: the middle of its joint and the side of its box, in film pixels; the box may reach beyond the film."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Framed:
    """pixels: uint8 [S,S], 0 the darkest and 255 the brightest that is kept. content: (left, top, right, bottom) of what the film shows of it."""

    pixels: np.ndarray
    content: tuple[int, int, int, int]


def frame(pixels: np.ndarray, place: Place, side: int = SIDE) -> Framed:
    """Bring one knee of a [H,W] film, bright bone, into the frame."""
    height, width = pixels.shape
    reach = place.side * REACH
    left, top, step = place.x - reach / 2, place.y - reach / 2, reach / side
    content = tuple(
        int(np.clip(edge, 0, side))
        for edge in (
            np.ceil(-left / step - 1e-6),
            np.ceil(-top / step - 1e-6),
            np.floor((width - left) / step + 1e-6),
            np.floor((height - top) / step + 1e-6),
        )
    )
    first, start, last, stop = content
    values = np.full((side, side), np.nan, np.float32)
    if last > first and stop > start:
        # Pillow widens the filter when it shrinks a picture, so a large film does not alias.
        box = tuple(max(0.0, edge) for edge in (left + first * step, top + start * step)) + (
            min(width, left + last * step),
            min(height, top + stop * step),
        )
        cut = tuple(int(f(edge)) for f, edge in zip((np.floor, np.floor, np.ceil, np.ceil), box, strict=True))
        part = np.ascontiguousarray(pixels[cut[1] : cut[3], cut[0] : cut[2]], np.float32)
        inner = (box[0] - cut[0], box[1] - cut[1], box[2] - cut[0], box[3] - cut[1])
        values[start:stop, first:last] = np.asarray(
            Image.fromarray(part).resize((last - first, stop - start), Image.Resampling.BICUBIC, box=inner)
        )
    low, high = exposure(values)
    scaled = (values - low) / max(high - low, LEAST_SPREAD)
    levels = (np.clip(np.nan_to_num(scaled, nan=DARKEST), DARKEST, BRIGHTEST) - DARKEST) / (BRIGHTEST - DARKEST)
    return Framed(np.rint(255 * levels).astype(np.uint8), (first, start, last, stop))


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
