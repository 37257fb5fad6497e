"""Computes the grays of a DICOM film from its stored values, as a viewer shows them.

The steps are DICOM PS3.3 C.7.5.1.1.2 (pixel padding), C.11.1 (modality LUT) and C.11.2 (VOI LUT). A step that the
header gives wrongly is left out with a warning, so that no fault of a header keeps a film from being read.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dicom_values import items, numbers, table_of, text
from .film import BLOCK_ROWS, new_pixels
from .percentiles import percentiles
from .pixel_form import PixelForm

UNKNOWN_GRAYS = "The film's header does not say whether low values are black or white; they are taken as black."
"""A film that may be a negative gets this warning."""
NO_RESCALE = "The film's own rescaling can't be applied; its stored values are taken as they are."
"""A faulty modality LUT gets this warning."""
NO_WINDOW = "The film's own window can't be applied; its values are taken as they are."
"""A faulty window or table gets this warning."""
MISSED_WINDOW = "The film's own window shows almost none of its values; they are taken as they are."
"""A window or table that misses the film gets this warning."""
NARROW, FEW = 0.1, 0.5
"""A window misses the film if it covers less than the first proportion of the spread of the values, and less than the
second proportion of the pixels.
"""
SAMPLE_SIDE = 512
"""A window is judged over at most 512 rows and columns."""
Step = Callable[[np.ndarray], np.ndarray]
"""A function takes values [N] or [h,W] to what the next step or the viewer gets."""


def exposed_pixels(stored: np.ndarray, header: Any, form: PixelForm) -> np.ndarray | None:
    """Return [H,W] bool, True for each stored value that is not the declared padding.

    None means that no value is padding, or that every value is.

    Args:
        stored: The stored values [H,W].
        header: The DICOM dataset, which declares the padding.
        form: The bits and the sign of the stored values.
    """
    limits = numbers(header, "PixelPaddingValue")[:1] + numbers(header, "PixelPaddingRangeLimit")[:1]
    if "PixelPaddingValue" not in header or not limits or not all(map(math.isfinite, limits)):
        return None
    values = [_as_stored(int(limit), form) for limit in limits]
    exposed = stored < min(values)
    exposed |= stored > max(values)
    return exposed if exposed.any() and not exposed.all() else None


def _as_stored(padding: int, form: PixelForm) -> int:
    """Return a padding value as it occurs among the stored values.

    The header may write the highest value filled up to the whole cell, and a negative value without its sign.
    """
    highest = 2**form.bits.stored - 1
    if form.bits.signed:
        return padding - 2**form.allocated if padding >= 2 ** (form.allocated - 1) else padding
    return highest if padding & highest == highest else padding


def shown_grays(
    stored: np.ndarray, exposed: np.ndarray | None, header: Any, form: PixelForm
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Apply the film's modality LUT and its first VOI LUT or window.

    Args:
        stored: The stored values [H,W].
        exposed: True for each value that is not padding, [H,W] bool. None means all values.
        header: The film's header.
        form: The form of its values.

    Returns:
        [H,W] float32, and a warning for each step that was useless and was left out.
    """
    steps = tuple(slice(None, None, -(-side // SAMPLE_SIDE)) for side in stored.shape)
    sample = stored[steps].ravel() if exposed is None else stored[steps][exposed[steps]]
    modality, voi = _modality(header, form), _voi(header, form)
    warnings = () if modality else (NO_RESCALE,)
    rescale = modality or _as_it_is
    values = rescale(sample)
    if voi is None:  # for example a width of 0, which some machines write
        warnings = (*warnings, NO_WINDOW)
    elif _shows_nothing(values, voi) or (isinstance(voi, _Window) and voi.misses(values)):
        voi, warnings = None, (*warnings, MISSED_WINDOW)
    shown = new_pixels(stored.shape)
    for start in range(0, len(stored), BLOCK_ROWS):  # values are computed in float64
        rows = rescale(stored[start : start + BLOCK_ROWS])
        shown[start : start + BLOCK_ROWS] = voi(rows) if voi else rows
    return shown, warnings


def _as_it_is(values: np.ndarray) -> np.ndarray:
    return values


def _modality(header: Any, form: PixelForm) -> Step | None:
    """Return the modality LUT, or None if it cannot be applied."""
    for item in items(header, "ModalityLUTSequence"):
        return table_of(numbers(item, "LUTDescriptor"), item.get("LUTData"), form.bits.signed, form.bits.stored)
    slope, intercept = numbers(header, "RescaleSlope")[:1], numbers(header, "RescaleIntercept")[:1]
    if not slope and not intercept:
        return _as_it_is
    factor, offset = (slope or [1.0])[0], (intercept or [0.0])[0]
    if math.isnan(factor) or math.isnan(offset) or factor == 0:
        return None
    return lambda values: values.astype(np.float64) * factor + offset


def _voi(header: Any, form: PixelForm) -> Step | None:
    """Return the VOI LUT or window, or None if it cannot be applied."""
    for item in items(header, "VOILUTSequence"):
        return table_of(numbers(item, "LUTDescriptor"), item.get("LUTData"), form.bits.signed)
    centre, width = numbers(header, "WindowCenter")[:1], numbers(header, "WindowWidth")[:1]
    if not centre or not width:
        return _as_it_is
    window = _Window(centre[0], width[0], text(header, "VOILUTFunction") or "LINEAR", 2.0**form.bits.stored - 1)
    return window if window.is_valid else None


def _shows_nothing(values: np.ndarray, step: Step) -> bool:
    """Tell whether different values [N] all become one gray, or something that is not a number."""
    if not values.size:
        return False
    shown = np.asarray(step(values)).astype(np.float32)
    return not np.isfinite(shown).all() or bool(np.ptp(shown) == 0 < np.ptp(values))


@dataclass(frozen=True)
class _Window:
    """Shows values as 0 to `most`, as a window of DICOM does (PS3.3 C.11.2.1.2)."""

    centre: float
    width: float
    function: str
    most: float

    @property
    def is_valid(self) -> bool:
        least = 1.0 if self.function == "LINEAR" else np.finfo(np.float64).tiny
        known = self.function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
        return known and not math.isnan(self.centre) and self.width >= least

    def __call__(self, values: np.ndarray) -> np.ndarray:
        if self.function == "SIGMOID":
            return self.most / (1 + np.exp(-4 * (values.astype(np.float64) - self.centre) / self.width))
        linear = self.function == "LINEAR"
        centre, width = (self.centre - 0.5, self.width - 1) if linear else (self.centre, self.width)
        if width == 0:
            return np.where(values > centre, self.most, 0.0)
        return self.most * np.clip((values.astype(np.float64) - centre) / width + 0.5, 0, 1)

    def misses(self, values: np.ndarray) -> bool:
        """Tell whether the window leaves almost none of a film's values [N] visible."""
        if not values.size:
            return False
        first, last = self.centre - self.width / 2, self.centre + self.width / 2
        # Padding that nobody declared, shutters and plain air say nothing of the knee.
        between = values[(values > values.min()) & (values < values.max())]
        values = between if between.size else values
        low, high = percentiles(values, (1, 99))
        narrow = min(last, high) - max(first, low) < NARROW * (high - low)
        return bool(narrow and ((values > first) & (values < last)).mean() < FEW)


def bounds_of(mask: np.ndarray, least: int) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of the True values in [H,W].

    None means that all values are True, or that a side is shorter than `least`.
    """
    across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    box = (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)
    whole = box == (0, 0, mask.shape[1], mask.shape[0])
    return None if whole or min(box[2] - box[0], box[3] - box[1]) < least else box
