"""Whether a smaller picture is a copy of a film: a preview that lies beside it in the file and is not marked as one."""

import numpy as np
from PIL import Image

LEAST_REDUCTION = 1.5
"""A preview is smaller than its film by this factor at least."""
GRID, COARSE = 64, 16
"""Rows and columns to which both pictures are reduced, and to which their outlines are, which all knees share."""
LEAST_CORRELATION = 0.92
"""Correlation of the detail from which a picture is a copy. A copy at a third of the size in JPEG of quality 20 has
0.95 or more; two synthetic knees, which share their outlines, have 0.82 at most."""


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
