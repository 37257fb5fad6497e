"""Encodes films and heatmaps as `data:` addresses, so that no picture of a visitor's film is written to disk."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub import FilmReport, KneeGrade
from kneeoa_hub.overlay import film_picture

LONGEST_SIDE = 1200
"""The longest side of a film on the page has 1,200 pixels. A larger film is shrunk."""
THUMBNAIL_SIDE = 240
"""The longest side of a sample's picture on its button has 240 pixels."""
HEATMAP_SIDE = 96
"""The longest side of a heatmap has 96 pixels. The browser stretches it smoothly over the box of the knee."""


def film_address(pixels: np.ndarray, longest: int = LONGEST_SIDE) -> str:
    """Return the address of a [H,W] film of any range, as an 8-bit JPEG."""
    picture = film_picture(pixels)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return _encoded(picture, "JPEG", quality=90)


def heatmap_address(knee: KneeGrade) -> str:
    """Return the address of a knee's heatmap as a PNG: clear without evidence, then red to yellow with its strength."""
    height, width = knee.heatmap.shape
    scale = HEATMAP_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    heatmap = np.asarray(Image.fromarray(knee.heatmap).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    layer = np.stack(
        [np.minimum(1, 2 * heatmap), np.maximum(0, 2 * heatmap - 1) * 0.9, np.zeros_like(heatmap), heatmap], -1
    )
    return _encoded(Image.fromarray(np.rint(layer * 255).astype(np.uint8)), "PNG")


def picture_address(path: Path) -> str:
    """Return the address of a picture's file, such as a plot of the model card."""
    return _data(f"image/{path.suffix[1:].lower()}", path.read_bytes())


def place(report: FilmReport, knee: KneeGrade) -> str:
    """Return the place of a knee's box in the film as CSS, in per cent."""
    height, width = report.film.shape
    left, top, right, bottom = knee.box
    proportions = {
        "left": left / width,
        "top": top / height,
        "width": (right - left) / width,
        "height": (bottom - top) / height,
    }
    return ";".join(f"{side}:{proportion:.3%}" for side, proportion in proportions.items())


def _encoded(picture: Image.Image, kind: str, **options: int) -> str:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return _data(f"image/{kind.lower()}", file.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
