"""The grays of a DICOM film: its stored values after padding, modality LUT and VOI LUT, as a viewer shows them.

DICOM PS3.3 C.7.5.1.1.2 (pixel padding), C.11.1 (modality LUT), C.11.2 (VOI LUT).
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from .film import BLOCK_ROWS
from .quiet import quiet_warnings

UNKNOWN_GRAYS = "The film's header does not say whether low values are black or white; they are taken as black."
"""The warning about a film that may be a negative."""
NO_WINDOW = "The film's own window can't be applied; its values are taken as they are."
"""The warning about a window or table that is faulty."""
MISSED_WINDOW = "The film's own window shows almost none of its values; they are taken as they are."
"""The warning about a window or table that misses the film."""
NARROW, FEW = 0.1, 0.5
"""A window misses the film where it covers less than the first proportion of the spread of the values, and less than
the second proportion of the pixels."""
SAMPLE_SIDE = 512
"""A window is judged over at most this many rows and columns."""


def exposed_pixels(stored: np.ndarray, header: Any) -> np.ndarray:
    """Return [H,W] bool: True where a stored value is not the declared padding, or everywhere if all values are."""
    padding = header.get("PixelPaddingValue")
    if padding is None:
        return np.ones(stored.shape, bool)
    first = _as_stored(int(padding), header)
    last = _as_stored(int(header.get("PixelPaddingRangeLimit", first)), header)
    exposed = (stored < min(first, last)) | (stored > max(first, last))
    return exposed if exposed.any() else ~exposed


def _as_stored(padding: int, header: Any) -> int:
    """Return a padding value as it occurs among the stored values.

    The header may write the highest value filled up to the whole cell, and a negative value without its sign.
    """
    allocated, highest = int(header.BitsAllocated), 2 ** int(header.BitsStored) - 1
    if header.PixelRepresentation:
        return padding - 2**allocated if padding >= 2 ** (allocated - 1) else padding
    return highest if padding & highest == highest else padding


def shown_grays(stored: np.ndarray, exposed: np.ndarray, header: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Apply the film's modality LUT and its first VOI LUT or window.

    Args:
        stored: The stored values [H,W].
        exposed: Where they are not padding, [H,W] bool.
        header: The film's header.

    Returns:
        [H,W] float32, and a warning where the window or table is of no use and was left out.
    """
    steps = tuple(slice(None, None, -(-side // SAMPLE_SIDE)) for side in stored.shape)
    sample, warnings = stored[steps][exposed[steps]], ()
    try:
        with quiet_warnings():  # pydicom converts the elements of tables now, and warns of odd ones
            values = apply_modality_lut(sample, header)
            windowed = apply_voi_lut(values, header)
        if _misses(values, windowed, header):
            warnings = (MISSED_WINDOW,)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError):
        warnings = (NO_WINDOW,)  # for example a width of 0, which some machines write
    shown = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), BLOCK_ROWS):  # pydicom works in float64
        rows = apply_modality_lut(stored[start : start + BLOCK_ROWS], header)
        if not warnings:
            # pydicom warns of every table that follows a rescaling
            with quiet_warnings() if "VOILUTSequence" in header else nullcontext():
                rows = apply_voi_lut(rows, header)
        shown[start : start + BLOCK_ROWS] = rows
    return shown, warnings


def _misses(values: np.ndarray, windowed: np.ndarray, header: Any) -> bool:
    """Tell whether a film's window or table leaves almost none of its values [N] visible."""
    if not values.size:
        return False
    if not np.isfinite(windowed).all() or (np.ptp(windowed.astype(np.float32)) == 0 < np.ptp(values)):
        return True
    if "WindowCenter" not in header or "VOILUTSequence" in header:
        return False
    centre, width = (float(np.atleast_1d(value)[0]) for value in (header.WindowCenter, header.WindowWidth))
    first, last = centre - width / 2, centre + width / 2
    # Padding that nobody declared, shutters and plain air say nothing of the knee.
    between = values[(values > values.min()) & (values < values.max())]
    values = between if between.size else values
    low, high = np.percentile(values, (1, 99))
    narrow = min(last, high) - max(first, low) < NARROW * (high - low)
    return bool(narrow and ((values > first) & (values < last)).mean() < FEW)


def bounds_of(mask: np.ndarray, least: int) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of what is True in [H,W]; None for all of it, or a side under `least`."""
    across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    box = (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)
    whole = box == (0, 0, mask.shape[1], mask.shape[0])
    return None if whole or min(box[2] - box[0], box[3] - box[1]) < least else box
