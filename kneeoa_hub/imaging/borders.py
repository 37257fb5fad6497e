"""Finds plain borders round a film, as scanners, printers and screenshots leave them, so that they are left out.

A border is not part of the knee. When a border of a tenth of the width was taken for film, half of all grades changed.
"""

import numpy as np

from .letterbox import Box
from .percentiles import median, percentiles

PIECES = 8
"""A line of a border is examined in eight pieces, whose means keep their gray through noise and compression."""
LEVEL = 0.03
"""The means of a border's pieces differ by at most 3% of the film's spread."""
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
SAMPLE = 128
"""The spread of grays is measured over at most 128 rows and columns."""


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
        before, spread = (left, top, right, bottom), _spread(pixels[top:bottom, left:right])
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


def _spread(pixels: np.ndarray) -> float:
    rows, columns = (-(-side // SAMPLE) for side in pixels.shape)
    low, high = percentiles(pixels[::rows, ::columns], (1, 99))
    return float(high - low)


def _border(lines: np.ndarray, spread: float) -> int:
    """Return how many of the first lines [N,L] are a border: plain, of one gray, and wide or with an abrupt end."""
    last = len(lines) - BLURRED
    count = _plain(lines[:last], LEVEL * spread) if last > 0 else 0
    if not count or count >= last:
        return 0
    for line in range(count, count + BLURRED):
        change = np.subtract(lines[line], lines[max(line, WITHIN) - WITHIN], dtype=np.float64)
        if float((np.abs(change) > STEP * spread).mean()) >= ABRUPT:
            return line
    return count if count > WIDE * len(lines) else 0


def _plain(lines: np.ndarray, most: float) -> int:
    """Return how many of the first lines [N,L] are plain: the means of their pieces differ little from one gray.

    Args:
        lines: The lines. The gray is the median of the first one.
        most: The means differ from it by at most this.
    """
    gray, count, several = median(lines[0]), 0, 1
    while count < len(lines):
        plain = np.abs(_means(lines[count : count + several]) - gray).max(axis=1) <= most
        if not plain.all():
            return count + int(np.argmin(plain))
        count, several = count + len(plain), min(2 * several, MOST_AT_ONCE)
    return count


def _means(lines: np.ndarray) -> np.ndarray:
    """Return the means [N,P] of the pieces of lines [N,L]."""
    length = lines.shape[1]
    pieces = min(PIECES, length)
    starts = np.arange(pieces) * length // pieces
    return np.add.reduceat(lines, starts, axis=1, dtype=np.float64) / np.diff(starts, append=length)
