"""Tells whether a smaller picture in a file is a copy of the film: a preview that is not marked as one."""

import numpy as np
from PIL import Image

LEAST_REDUCTION = 1.5
"""A preview is smaller than its film by at least this factor."""
GRID, COARSE = 64, 16
"""Both pictures are reduced to the first number of rows and columns. Their outlines, which all knees share, are reduced
to the second.
"""
LEAST_CORRELATION = 0.92
"""A picture whose detail has at least this correlation is a copy. A copy at a third of the size in JPEG of quality 20
has 0.95 or more. Two synthetic knees, which share their outlines, have at most 0.74.
"""


def may_be_copy(size: tuple[int, int], film: tuple[int, int]) -> bool:
    """Tell by width and height whether a picture may be a smaller copy of a film."""
    ratios = [whole / side for whole, side in zip(film, size, strict=True)]
    rounding = max(ratios) / min(size)  # one pixel of the shorter side
    return min(ratios) >= LEAST_REDUCTION and max(ratios) - min(ratios) <= rounding


def same_film(film: np.ndarray, copy: np.ndarray) -> bool:
    """Tell whether two pictures [H,W] float32 of any sizes show the same, whatever their units."""
    one, other = _detail(film), _detail(copy)
    spread = np.sqrt((one**2).sum() * (other**2).sum())
    return bool((one * other).sum() >= LEAST_CORRELATION * spread > 0)


def _detail(pixels: np.ndarray) -> np.ndarray:
    """Return what distinguishes a picture [H,W] from its outlines, as GRID x GRID means."""
    reduced = Image.fromarray(pixels).resize((GRID, GRID), Image.Resampling.BOX)
    outlines = reduced.resize((COARSE, COARSE), Image.Resampling.BOX).resize((GRID, GRID), Image.Resampling.BICUBIC)
    detail = np.asarray(reduced, np.float64) - np.asarray(outlines)
    return detail - detail.mean()
