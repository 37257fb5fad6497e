"""Reads DICOM films in three channels or with a palette, and finds by their pixels those that are gray.

Secondary captures and scanners file gray films as RGB, YBR or with a palette, and may name the wrong one. A picture
that really is in colour is refused later, as in any other format.
"""

from typing import Any

import numpy as np

from .dicom_values import WHOLE_TABLE, Table, numbers, table_of
from .gray import SAMPLE_SIDE, colourfulness, upright_gray
from .pixel_form import PixelForm

YBR_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
"""Red, green and blue follow from brightness and the two colour differences by this matrix (PS3.3 C.7.6.3.1.2)."""
PALETTE = ("Red", "Green", "Blue")
DISCRETE, LINEAR, INDIRECT = 0, 1, 2
"""A palette has these kinds of segments: entries as they are, a line to an entry, and a reference to earlier segments
(PS3.3 C.7.9.2).
"""


class IncompletePalette(Exception):
    """Reports that a film's palette is missing or incomplete."""


def gray_of(values: np.ndarray, form: PixelForm) -> tuple[np.ndarray, float]:
    """Return the gray [H,W] of a film [H,W,3], and how colourful it is; see `gray.colourfulness`.

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
        IncompletePalette: The palette is missing or not complete.
    """
    tables = [_palette_table(header, colour, form.bits.signed) for colour in PALETTE]
    most = float(max(int(table.entries.max()) for table in tables))
    return upright_gray(
        lambda rows: np.stack([table(indices[rows]) for table in tables], -1), indices.shape, 1, max(most, 1.0)
    )


def _palette_table(header: Any, colour: str, signed: bool) -> Table:
    """Return the table of a colour, which a header holds entry by entry or in segments. Raises IncompletePalette."""
    name = f"{colour}PaletteColorLookupTable"
    descriptor, data = numbers(header, f"{name}Descriptor"), header.get(f"{name}Data")
    segments = header.get(f"Segmented{name}Data")
    if data is None and isinstance(segments, bytes) and len(descriptor) == 3:
        try:
            data = _expanded(segments, int(descriptor[0]) or WHOLE_TABLE, wide=descriptor[2] > 8)
        except (ValueError, IndexError, OverflowError):  # also of a descriptor that holds no finite number
            raise IncompletePalette from None
    table = table_of(descriptor, data, signed)
    if table is None:
        raise IncompletePalette
    return table


def _expanded(segments: bytes, count: int, wide: bool) -> list[int]:
    """Return `count` entries or somewhat more of a table that is stored in segments.

    Args:
        segments: The segments, of 8 or of 16 bits a number.
        count: How many entries the table has.
        wide: Whether the numbers have 16 bits.

    Raises:
        ValueError: There is a segment of another kind, or without an entry.
        IndexError: The segments end before all entries.
    """
    size = 2 if wide else 1
    words = np.frombuffer(segments, "<u2" if wide else np.uint8, len(segments) // size).tolist()
    entries: list[int] = []
    at = back = left = 0  # `left` segments remain of an indirect one, after which `back` is read
    while len(entries) < count:
        kind, length = words[at], words[at + 1]
        if kind == DISCRETE and length:
            entries += words[at + 2 : at + 2 + length]
            at += 2 + length
        elif kind == LINEAR and length and entries:
            entries += np.rint(np.linspace(entries[-1], words[at + 2], length + 1)[1:]).astype(int).tolist()
            at += 3
        elif kind == INDIRECT and length and not left:
            places = 4 // size
            offset = sum(number << 8 * size * place for place, number in enumerate(words[at + 2 : at + 2 + places]))
            at, back, left = offset // size, at + 2 + places, length + 1
        else:
            raise ValueError(f"a segment of kind {kind}")
        left = max(0, left - 1)
        at = back if back and not left else at
        back = back if left else 0
    return entries
