"""Computes percentiles of a film's grays as `numpy.percentile` and `numpy.median` do, without their cost.

Each of those imports `numpy.ma` when it is first called, and spends most of its time on shapes and methods that no film
needs. NumPy sorts with the processor's vector instructions, but selects several places without them, so sorting is
quicker.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

SAMPLE = 128
"""The spread of grays is measured over at most 128 rows and columns."""


def percentiles(values: np.ndarray, wanted: Sequence[float]) -> tuple[np.float64, ...]:
    """Return percentiles of an array of any shape, interpolated linearly between neighbours.

    Args:
        values: At least one value, none of them NaN. The array is not changed.
        wanted: The percentiles, each from 0 to 100.

    Returns:
        The percentiles, to the last bit those of `numpy.percentile`. A float32 array is float64 after arithmetic with
        one of them, as it would not be with Python's float.
    """
    ordered = np.sort(values, axis=None)
    last = len(ordered) - 1
    places = [last * (one / 100) for one in wanted]
    below = [min(int(place), last) for place in places]
    return tuple(
        _between(ordered[one], ordered[min(one + 1, last)], place - one)
        for place, one in zip(places, below, strict=True)
    )


def median(values: np.ndarray) -> float:
    """Return the median of at least one value, none of them NaN: to the last bit that of `numpy.median`."""
    ordered = np.sort(values, axis=None)
    upper = len(ordered) // 2
    lower = upper if len(ordered) % 2 else upper - 1
    return float(ordered[lower : upper + 1].mean())


def gray_spread(pixels: np.ndarray) -> float:
    """Return how far the middle 98% of the grays of a film [H,W] spread. A small marker does not count."""
    rows, columns = (-(-side // SAMPLE) for side in pixels.shape)
    thinned = pixels[::rows, ::columns]
    wide = thinned.astype(np.result_type(thinned, np.float32))  # differences of signed integers could overflow
    low, high = percentiles(wide, (1, 99))
    return float(high - low)


def _between(low: Any, high: Any, way: float) -> np.float64:
    distance = float(high - low)
    return np.float64(float(high) - distance * (1 - way) if way >= 0.5 else float(low) + distance * way)
