"""The borders of a training film are cut off as a grader cuts them, and the place of its joint moves with the cut."""

import numpy as np

from kneeoa_hub.imaging.borders import without_borders
from kneeoa_hub.imaging.frame import Place


def cut_borders(pixels: np.ndarray, place: Place) -> tuple[np.ndarray, Place]:
    """Return the part of a film [H,W] that a grader grades, with the place of its joint in that part."""
    left, top, right, bottom = without_borders(pixels)
    return pixels[top:bottom, left:right], Place(place.x - left, place.y - top, place.side)
