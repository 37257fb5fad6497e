"""Draws a film as a picture, with the box, grade and heatmap of each knee over it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .imaging.letterbox import Box

if TYPE_CHECKING:
    from PIL import ImageDraw

DRAWN_FROM, OPACITY = 0.3, 0.5
"""Evidence below the first proportion of its maximum is not drawn, so that the bone stays visible. The second
proportion is the opacity at the maximum.
"""
FRAME, DARK = "#ffd166", "#101820"
SMALLEST_TEXT = 10
"""A label is at least ten pixels high."""
LARGEST = 1e37
"""The grays of a film are stretched by at most this factor, so that they stay finite."""
BLOCK = 64
"""An overlay is drawn 64 rows at a time, since a large film as floats takes many times the memory of its picture."""


@dataclass(frozen=True, eq=False)
class Mark:
    """Describes what is drawn for one knee: its box, its label, and its heatmap, [h,w] over the box, 0 to 1."""

    box: Box
    text: str
    heatmap: np.ndarray


def film_picture(pixels: np.ndarray) -> Image.Image:
    """Return a [H,W] film of any range as an 8-bit gray picture.

    Its 0.5th to 99.5th percentile is stretched to the whole range. A blank film becomes mid-gray.
    """
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)], (0.5, 99.5))
    if high <= low:
        return Image.new("L", pixels.shape[::-1], 128)
    gray = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), BLOCK):
        scaled = (pixels[start : start + BLOCK] - low) * min(255 / float(high - low), LARGEST)
        gray[start : start + BLOCK] = np.clip(np.rint(scaled), 0, 255)
    return Image.fromarray(gray)


def heatmap_picture(heatmap: Image.Image) -> Image.Image:
    """Return a heatmap of values 0 to 1 as an RGB picture."""
    return Image.fromarray(_colours(np.asarray(heatmap).clip(0, 1)))


def drawn(film: np.ndarray, marks: Iterable[Mark]) -> Image.Image:
    """Return the [H,W] film with its marks as an RGB picture of the same size."""
    picture = film_picture(film).convert("RGB")
    marks = list(marks)
    for mark in marks:
        _draw_heatmap(picture, mark)
    from PIL import ImageDraw  # only a picture needs it, and the library that draws text

    draw = ImageDraw.Draw(picture)
    stroke = max(1, round(min(picture.size) / 220))
    taken = [mark.box for mark in marks]
    for mark in marks:
        left, top, right, bottom = mark.box
        draw.rectangle((left, top, right - 1, bottom - 1), outline=FRAME, width=stroke)
        taken.append(_label(draw, mark, taken, picture, stroke))
    return picture


def _label(draw: "ImageDraw.ImageDraw", mark: Mark, taken: Sequence[Box], picture: Image.Image, stroke: int) -> Box:
    """Draw a label above the box, below it, or inside at its upper edge, and return its place.

    It is as large as the film allows, and at most as wide as the box.
    """
    from PIL import ImageFont

    text, (left, top, right, bottom) = mark.text, mark.box
    size = max(SMALLEST_TEXT, round(min(picture.size) / 18))
    pad = max(2, size // 4)
    room = right - left - 2 * (pad + stroke)
    size = max(SMALLEST_TEXT, min(size, int(size * room / draw.textlength(text, ImageFont.load_default(size)))))
    font = ImageFont.load_default(size)
    across, down = draw.textbbox((0, 0), text, font=font)[2:]
    width, height = math.ceil(across) + 2 * pad, math.ceil(down) + 2 * pad
    x = max(0, min(left, picture.width - width))

    def free(y: int) -> bool:
        covers = any(x < box[2] and box[0] < x + width and y < box[3] and box[1] < y + height for box in taken)
        return 0 <= y <= picture.height - height and not covers

    y = next(filter(free, (top - height, bottom)), top)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=DARK)
    draw.text((x + pad, y + pad), text, fill=FRAME, font=font)
    return x, y, x + width, y + height


def _draw_heatmap(picture: Image.Image, mark: Mark) -> None:
    left, top, right, bottom = mark.box
    evidence = Image.fromarray(mark.heatmap).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    for start in range(0, evidence.height, BLOCK):
        heatmap = np.asarray(evidence.crop((0, start, evidence.width, min(start + BLOCK, evidence.height)))).clip(0, 1)
        layer = Image.fromarray(_colours(heatmap))
        shown = ((heatmap - DRAWN_FROM) / (1 - DRAWN_FROM)).clip(0, 1)
        picture.paste(layer, (left, top + start), Image.fromarray((shown * OPACITY * 255).astype(np.uint8)))


def _colours(heatmap: np.ndarray) -> np.ndarray:
    """Return [h,w,3] uint8 from black over red to yellow: a heatmap that only becomes brighter reads in gray too."""
    colours = np.stack([np.minimum(1, 2 * heatmap), np.maximum(0, 2 * heatmap - 1) * 0.9, np.zeros_like(heatmap)], -1)
    return (colours * 255).astype(np.uint8)
