"""Finds plain borders round a film, as scanners, printers and screenshots leave them, so that they are left out.

A border is not part of the knee. When a border of a tenth of the width was taken for film, half of all grades changed.
"""

import numpy as np

from .film import MIN_SIDE
from .letterbox import Box
from .percentiles import gray_spread, median

PIECES = 8
"""A line of a border is examined in eight pieces, whose means keep their gray through noise and compression."""
LEVEL = 0.03
"""The means of a border's pieces differ by at most 3% of the film's spread."""
ROUGH = 0.15
"""The pixels of a border's line differ from its gray by at most 15% of the film's spread on average. Those of plain
noise or of a fine weave differ by more, and their pieces have even means too."""
MOST_PIXELS = 4096
"""At most 4,096 pixels of a line are examined, which is quick on a large film."""
GOLDEN = (5**0.5 - 1) / 2
"""Multiples of the golden ratio vary the gaps between these pixels, so that no texture repeats at each of them."""
STEP = 0.1
"""At a border's edge a pixel changes by at least a tenth of the film's spread."""
WITHIN = 2
"""It changes so from one line to the next but one. Air beside a leg fades into it and stays in the film."""
ABRUPT = 0.12
"""At least 12% of the pixels of a line change so."""
BLURRED = 8
"""The edge lies within eight lines from the last plain one, since compression spreads it over its blocks of eight."""
WIDE = 0.35
"""Plain lines over more than 35% of the film are a border even without an edge: a leg has less air beside it."""
PASSES = 4
"""Each side is examined up to four times, again after the others are cut, since borders of several grays meet in a
corner or lie within each other."""
MOST_AT_ONCE = 64
"""A wide border is examined in up to 64 lines at once, since columns lie far apart in memory."""


def inner_film(pixels: np.ndarray) -> Box:
    """Find the part of a film that lies within its plain borders.

    Args:
        pixels: The film, [H,W] of any unit.

    Returns:
        Left, top, right and bottom of the part without borders, or the whole film if it has no border.
    """
    height, width = pixels.shape
    left, top, right, bottom = 0, 0, width, height
    for _ in range(PASSES):
        before, spread = (left, top, right, bottom), gray_spread(pixels[top:bottom, left:right])
        if spread <= 0:
            break
        rows = pixels[:, left:right]
        top += _border(rows[top:bottom], spread)
        bottom -= _border(rows[top:bottom][::-1], spread)
        columns = pixels[top:bottom].T
        left += _border(columns[left:right], spread)
        right -= _border(columns[left:right][::-1], spread)
        if (left, top, right, bottom) == before:
            break
    return left, top, right, bottom


def without_borders(pixels: np.ndarray) -> Box:
    """Find the part of a film [H,W] that is located and graded; the films of a training are cut to it too.

    It is left, top, right and bottom of `inner_film`, or the whole film where that part is too small to be graded.
    """
    left, top, right, bottom = inner_film(pixels)
    if min(right - left, bottom - top) < MIN_SIDE:
        return 0, 0, pixels.shape[1], pixels.shape[0]
    return left, top, right, bottom


def _border(lines: np.ndarray, spread: float) -> int:
    """Return how many of the first lines [N,L] are a border: plain, of one gray, and wide or with an abrupt end."""
    last = len(lines) - BLURRED
    count = _plain(lines[:last], spread) if last > 0 else 0
    if not count or count >= last:
        return 0
    for line in range(count, count + BLURRED):
        change = np.subtract(lines[line], lines[max(line, WITHIN) - WITHIN], dtype=np.float64)
        if float((np.abs(change) > STEP * spread).mean()) >= ABRUPT:
            return line
    return count if count > WIDE * len(lines) else 0


def _plain(lines: np.ndarray, spread: float) -> int:
    """Return how many of the first lines [N,L] are plain: near one gray, the median of the first one.

    The means of their pieces differ from it by at most LEVEL, and their pixels on average by at most ROUGH.
    """
    places, length = _places(lines.shape[1]), min(lines.shape[1], MOST_PIXELS)
    pieces = min(PIECES, length)
    starts = np.arange(pieces) * length // pieces
    lengths = np.diff(starts, append=length)
    gray, count, several = median(lines[0]), 0, 1
    while count < len(lines):
        away = np.subtract(lines[count : count + several][:, places], gray, dtype=np.float64)
        even = np.abs(np.add.reduceat(away, starts, axis=1) / lengths).max(axis=1) <= LEVEL * spread
        plain = even & (np.abs(away).mean(axis=1) <= ROUGH * spread)
        if not plain.all():
            return count + int(np.argmin(plain))
        count, several = count + len(plain), min(2 * several, MOST_AT_ONCE)
    return count


def _places(length: int) -> np.ndarray | slice:
    """Return the places of the pixels of a line that are examined: all, or one in each of MOST_PIXELS stretches."""
    if length <= MOST_PIXELS:
        return slice(None)
    numbers = np.arange(MOST_PIXELS)
    return ((numbers + numbers * GOLDEN % 1) * length / MOST_PIXELS).astype(int)
