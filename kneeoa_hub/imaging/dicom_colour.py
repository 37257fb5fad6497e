"""DICOM films in three channels or with a palette: gray films that were filed as colour, told by their pixels.

Secondary captures and scanners file gray films as RGB, YBR or with a palette, and name the one where they hold another.
A picture that is indeed in colour is refused later, as in any other format.
"""

from typing import Any

import numpy as np

from .dicom_values import numbers, table_of
from .gray import SAMPLE_SIDE, colourfulness, upright_gray
from .pixel_form import PixelForm

YBR_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
"""Red, green and blue by brightness and the two colour differences (PS3.3 C.7.6.3.1.2)."""
PALETTE = ("Red", "Green", "Blue")


def gray_of(values: np.ndarray, form: PixelForm) -> tuple[np.ndarray, float]:
    """Return the gray [H,W] of a film [H,W,3], and how colourful it is, see `gray.colourfulness`.

    The channels are taken for RGB or for YBR, whichever makes the picture less colourful.
    """
    most = float(2**form.bits.stored - 1)
    steps = tuple(slice(None, None, -(-side // SAMPLE_SIDE)) for side in form.shape)
    sample = values[steps].astype(np.float32)
    as_rgb, as_ybr = (colourfulness(np.clip(one / most, 0, 1)) for one in (sample, rgb_of_ybr(sample, most)))
    if as_rgb <= as_ybr:
        return upright_gray(lambda rows: values[rows], form.shape, 1, most)
    # The brightness of YBR is the gray itself.
    return values[..., 0].astype(np.float32), as_ybr


def rgb_of_ybr(values: np.ndarray, most: float) -> np.ndarray:
    """Return the RGB of YBR values [...,3] up to `most`."""
    centred = values - np.array([0, (most + 1) / 2, (most + 1) / 2], np.float32)
    return centred @ YBR_TO_RGB.T


def gray_of_palette(indices: np.ndarray, header: Any, form: PixelForm) -> tuple[np.ndarray, float]:
    """Return the gray [H,W] that a film's palette gives its indices, and how colourful it is.

    Args:
        indices: The stored values [H,W].
        header: The DICOM dataset, which holds the palette.
        form: The bits and the sign of the stored values.

    Raises:
        ValueError: The palette is missing, cut off or stored in segments.
    """
    tables = []
    for colour in PALETTE:
        descriptor = numbers(header, f"{colour}PaletteColorLookupTableDescriptor")
        table = table_of(descriptor, header.get(f"{colour}PaletteColorLookupTableData"), form.bits.signed)
        if table is None:
            raise ValueError("a palette that is cut off")
        tables.append(table)
    most = float(max(int(table.entries.max()) for table in tables))
    return upright_gray(
        lambda rows: np.stack([table(indices[rows]) for table in tables], -1), indices.shape, 1, max(most, 1.0)
    )
