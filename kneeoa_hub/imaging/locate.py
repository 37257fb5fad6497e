"""Where the knees are in a film: one joint, or both side by side."""

from itertools import pairwise

import numpy as np

from .normalise import Box

TWO_KNEES_FROM = 1.5
"""Width over height from which a film may show both knees."""
GAP_DARKNESS = 0.55
"""The columns between two legs are darker than this share of the columns through them."""
PROFILE_WIDTH = 64


def find_knees(pixels: np.ndarray) -> tuple[Box, ...]:
    """Boxes of the knees in a [H,W] film, bright bone, left to right in the picture.

    A wide film whose middle is dark between two bright halves shows both knees and is cut at the darkest
    column near the middle; any other film is taken as one joint.
    """
    height, width = pixels.shape
    whole = (0, 0, width, height)
    if width < TWO_KNEES_FROM * height:
        return (whole,)
    profile = _column_profile(pixels)
    middle = slice(PROFILE_WIDTH * 3 // 8, PROFILE_WIDTH * 5 // 8)
    gap = PROFILE_WIDTH * 3 // 8 + int(profile[middle].argmin())
    legs = min(profile[:gap].max(), profile[gap + 1 :].max())
    if profile[gap] > GAP_DARKNESS * legs:
        return (whole,)
    cut = round((gap + 0.5) * width / PROFILE_WIDTH)
    return ((0, 0, cut, height), (cut, 0, width, height))


def _column_profile(pixels: np.ndarray) -> np.ndarray:
    """Mean intensity of PROFILE_WIDTH bands of columns, above the film's darkest hundredth."""
    edges = np.linspace(0, pixels.shape[1], PROFILE_WIDTH + 1).astype(int)
    columns = pixels.mean(0) - np.percentile(pixels[:, :: max(1, pixels.shape[1] // 512)], 1)
    return np.array([columns[a:b].mean() for a, b in pairwise(edges)])
