"""Finds plain borders round a film, as scanners, printers and screenshots leave them, so that they are left out.

A border is not part of the knee. When a border of a tenth of the width was taken for film, half of all grades changed.
"""

import numpy as np

from .letterbox import Box
from .percentiles import median, percentiles

LEVEL = 0.03
"""The grays of a border differ by at most 3% of the film's spread, since compression leaves such differences."""
STEP = 0.1
"""A pixel within a border's edge differs from the border by at least a tenth of the film's spread."""
ABRUPT = 0.12
"""Such pixels make up at least 12% of the edge. Air beside a leg fades into it and stays in the film."""
BLURRED = 4
"""Compression or resampling may spread an edge over four lines."""
MOST = 0.35
"""A border takes at most 35% of a film's side."""
PASSES = 2
"""Each side is examined twice, again after the others are cut, since borders of two grays meet in a corner."""
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
    steps = [-(-side // SAMPLE) for side in pixels.shape]
    low, high = percentiles(pixels[:: steps[0], :: steps[1]], (1, 99))
    spread = float(high - low)
    left, top, right, bottom = 0, 0, width, height
    if spread <= 0:
        return left, top, right, bottom
    for _ in range(PASSES):
        rows = pixels[:, left:right]
        top += _border(rows[top:bottom], spread, round(MOST * height) - top)
        bottom -= _border(rows[top:bottom][::-1], spread, round(MOST * height) - (height - bottom))
        columns = pixels[top:bottom].T
        left += _border(columns[left:right], spread, round(MOST * width) - left)
        right -= _border(columns[left:right][::-1], spread, round(MOST * width) - (width - right))
    return left, top, right, bottom


def _border(lines: np.ndarray, spread: float, most: int) -> int:
    """Return how many of the first lines [N,L] are a border: plain, of one gray, and with an abrupt end."""
    gray = median(lines[0])
    count = 0
    while count < most and float(np.abs(lines[count] - gray).max()) <= LEVEL * spread:
        count += 1
    if not count or count >= most:
        return 0
    for deeper in range(BLURRED):
        if float((np.abs(lines[count + deeper] - gray) > STEP * spread).mean()) >= ABRUPT:
            return count + deeper
    return 0
