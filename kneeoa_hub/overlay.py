"""A film as a picture, and over it each knee's box, grade and evidence."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .imaging.letterbox import Box

HEAT_FROM, HEAT_OPACITY = 0.3, 0.5
"""Evidence below this share of its maximum is not drawn, so that the bone under it stays to be seen; opacity at the
maximum."""
FRAME, DARK = "#ffd166", "#101820"
SMALLEST_TEXT = 10
LARGEST = 1e37
"""By which the grays of a film are stretched at most, so that they stay numbers."""
BLOCK = 64
"""Rows that are drawn at a time: in floats a large film takes many times the memory of its picture."""


@dataclass(frozen=True, eq=False)
class Mark:
    """What is drawn of one knee. heatmap: [h,w] over the box, 0..1."""

    box: Box
    text: str
    heatmap: np.ndarray


def film_picture(pixels: np.ndarray) -> Image.Image:
    """A [H,W] film of any range as an 8-bit gray picture, its 0.5th to 99.5th percentile stretched; a blank one is
    mid-gray.
    """
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)], (0.5, 99.5))
    if high <= low:
        return Image.new("L", pixels.shape[::-1], 128)
    gray = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), BLOCK):
        scaled = (pixels[start : start + BLOCK] - low) * min(255 / float(high - low), LARGEST)
        gray[start : start + BLOCK] = np.clip(np.rint(scaled), 0, 255)
    return Image.fromarray(gray)


def drawn(film: np.ndarray, marks: Iterable[Mark]) -> Image.Image:
    """RGB, as large as the [H,W] film."""
    picture = film_picture(film).convert("RGB")
    marks = list(marks)
    for mark in marks:
        _draw_heat(picture, mark)
    draw = ImageDraw.Draw(picture)
    stroke = max(1, round(min(picture.size) / 220))
    taken = [mark.box for mark in marks]
    for mark in marks:
        left, top, right, bottom = mark.box
        draw.rectangle((left, top, right - 1, bottom - 1), outline=FRAME, width=stroke)
        taken.append(_label(draw, mark, taken, picture, stroke))
    return picture


def _label(draw: ImageDraw.ImageDraw, mark: Mark, taken: Sequence[Box], picture: Image.Image, stroke: int) -> Box:
    """As large as the film allows and the box is wide: above the box, else below it, where nothing else is; else inside
    at its upper edge.
    """
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


def _draw_heat(picture: Image.Image, mark: Mark) -> None:
    left, top, right, bottom = mark.box
    evidence = Image.fromarray(mark.heatmap).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    for start in range(0, evidence.height, BLOCK):
        heatmap = np.asarray(evidence.crop((0, start, evidence.width, min(start + BLOCK, evidence.height)))).clip(0, 1)
        # Black over red to yellow: evidence reads in gray print too, since it only gets brighter.
        colours = np.stack(
            [np.minimum(1, 2 * heatmap), np.maximum(0, 2 * heatmap - 1) * 0.9, np.zeros_like(heatmap)], -1
        )
        layer = Image.fromarray((colours * 255).astype(np.uint8))
        shown = ((heatmap - HEAT_FROM) / (1 - HEAT_FROM)).clip(0, 1)
        picture.paste(layer, (left, top + start), Image.fromarray((shown * HEAT_OPACITY * 255).astype(np.uint8)))
