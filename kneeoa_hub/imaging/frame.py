"""Brings every knee into one frame: the joint in the middle, one scale, and one exposure, however the film was cut.

The films of a training and those that are graded go through the same step. What lies beyond the film is as dark as air.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .percentiles import percentiles

SIDE = 256
"""A frame's side has 256 pixels."""
MARGIN = 0.12
"""The exposure leaves out 12% of the side at each edge of a frame, so that a film that is cut to three quarters of the
joint's box has the exposure of the whole film."""
LOW, HIGH = 1.0, 99.0
"""These percentiles of the rest count as its darkest and its brightest gray."""
MIDDLE = 0.25
"""Bone and joint begin beyond a quarter of the side from each edge of a frame. Air seldom reaches farther."""
AIR = 0.06
"""Grays up to 6% of the way from the darkest to the brightest are air, collimation or a black border. They do not count
either."""
DARKEST, BRIGHTEST = -5.0, 6.0
"""A frame keeps grays between these limits, in standard deviations of the tissue from its mean. What lies beyond the
film takes the darkest value.
"""
PIXELS_LEFT = 3
"""A large film is first averaged over squares, until three of its pixels lie in one pixel of the frame's side. A copy
of the film would take a large part of the memory that a film may use."""
LEAST_SPREAD = float(np.finfo(np.float32).tiny)
"""A film whose grays differ by less is flat. Its values may be of any unit."""


@dataclass(frozen=True)
class Place:
    """Locates a knee in film pixels.

    Attributes:
        x: Column of the joint's middle.
        y: Row of the joint's middle.
        side: Side of the joint's box, which may reach beyond the film.
    """

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Framed:
    """Holds a knee in its frame.

    Attributes:
        pixels: uint8 [S,S], 0 for DARKEST and 255 for BRIGHTEST.
        content: Left, top, right and bottom of the part that the film shows.
    """

    pixels: np.ndarray
    content: tuple[int, int, int, int]


def middle_of(pixels: np.ndarray, content: tuple[int, int, int, int]) -> np.ndarray:
    """Return the part of a frame's pixels [S,S] within MIDDLE that the film shows, or all that it shows."""
    margin = round(MIDDLE * len(pixels))
    left, top, right, bottom = content
    inner = pixels[
        max(top, margin) : min(bottom, len(pixels) - margin), max(left, margin) : min(right, len(pixels) - margin)
    ]
    return inner if inner.size else pixels[top:bottom, left:right]


def place_of(box: tuple[float, float, float, float]) -> Place:
    """Return the middle and the longer side of a knee's box, which may reach beyond the film.

    The box is left, top, right and bottom.
    """
    left, top, right, bottom = box
    return Place((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top))


def frame(
    pixels: np.ndarray,
    place: Place,
    side: int = SIDE,
    ends: tuple[float, float] = (LOW, HIGH),
    reach: float = 1.0,
) -> Framed:
    """Bring one knee of a film into its frame.

    Args:
        pixels: The film [H,W] with bright bone, in any unit.
        place: The joint.
        side: Side of the frame in pixels.
        ends: The percentiles of the darkest and of the brightest gray.
        reach: Side of the frame over that of the joint's box.

    Returns:
        The knee in its frame.
    """
    step = place.side * reach / side
    left, top = place.x - step * side / 2, place.y - step * side / 2
    height, width = pixels.shape
    first, last = _shown(left, step, width, side)
    start, stop = _shown(top, step, height, side)
    values = np.full((side, side), np.nan, np.float32)
    if last > first and stop > start:
        box = (left + first * step, top + start * step, left + last * step, top + stop * step)
        values[start:stop, first:last] = _resampled(pixels, box, (last - first, stop - start))
    mean, deviation = exposure(values, ends)
    with np.errstate(over="ignore"):  # a film that is flat but for a few pixels; what is infinite is clipped
        scaled = (values[start:stop, first:last] - mean) / max(deviation, LEAST_SPREAD)
    levels = (np.clip(scaled, DARKEST, BRIGHTEST) - DARKEST) / (BRIGHTEST - DARKEST)
    framed = np.zeros((side, side), np.uint8)
    framed[start:stop, first:last] = np.rint(255 * levels)
    return Framed(framed, (first, start, last, stop))


def _shown(begin: float, step: float, length: int, side: int) -> tuple[int, int]:
    """Return the first pixel of a frame's row or column that a film of this length shows, and the end of that part."""
    slack = 1e-6  # of a pixel, so that rounding does not cost a frame its edge
    first, last = np.ceil(-begin / step - slack), np.floor((length - begin) / step + slack)
    return int(np.clip(first, 0, side)), int(np.clip(last, 0, side))


def _resampled(pixels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """Return the part `box` of a film (left, top, right, bottom) as float32 of `size` (width, height).

    Pillow widens its filter when it shrinks a picture, so a large film does not alias.
    """
    height, width = pixels.shape
    left, top = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    right, bottom = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
    part = pixels[top:bottom, left:right]
    times = max(1, int(min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]) / PIXELS_LEFT))
    part = _thinned(part, times) if times > 1 else np.ascontiguousarray(part, np.float32)
    inner = (
        max(0.0, box[0] - left) / times,
        max(0.0, box[1] - top) / times,
        (min(right, box[2]) - left) / times,
        (min(bottom, box[3]) - top) / times,
    )
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC, box=inner))


def _thinned(part: np.ndarray, times: int) -> np.ndarray:
    """Return the means of squares of `times` pixels a side, float32.

    A square at the right or bottom edge has the mean of those of its pixels that the film has.
    """
    shape = -(-part.shape[0] // times), -(-part.shape[1] // times)
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for row in range(times):
        for column in range(times):
            some = part[row::times, column::times]
            total[: some.shape[0], : some.shape[1]] += some
            count[: some.shape[0], : some.shape[1]] += 1
    return total / count


def exposure(values: np.ndarray, ends: tuple[float, float] = (LOW, HIGH)) -> tuple[float, float]:
    """Return mean and standard deviation of the tissue in a frame [S,S], in the film's units.

    The frame holds NaN beyond the film. Every pixel counts: by every third column, the deviations of a knee and of its
    mirror image differed by up to 3%.
    """
    margin = round(MARGIN * len(values))
    inner = values[margin:-margin, margin:-margin]
    known = inner[~np.isnan(inner)]
    if not known.size:
        known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, 1.0
    darkest, brightest = percentiles(known, ends)
    tissue = known[known > darkest + AIR * (brightest - darkest)]
    if not tissue.size:  # a flat film
        return float(known.mean()), 0.0
    tissue = np.minimum(tissue, brightest)
    return float(tissue.mean()), float(tissue.std())


def network_values(pixels: np.ndarray) -> np.ndarray:
    """Return frames uint8 [...,S,S] as a network sees them.

    They become float32 [...,S,S,1], with mean 0 and deviation 1 in the tissue.
    """
    return (pixels.astype(np.float32) / 255 * (BRIGHTEST - DARKEST) + DARKEST)[..., None]
