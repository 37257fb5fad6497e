"""PNG and TIFF films of 16 bits in several channels, which Pillow cuts down to 8 bits or does not know.

By imagecodecs (extra `dicom`).
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    PREFIXES,
    ImageFileDirectory_v2,
)

from ..errors import MissingExtra

ORIENTATION, WHITE_IS_ZERO = 0x0112, 0
"""EXIF, and TIFF 6.0."""
TILE_WIDTH, TILE_LENGTH = 322, 323


@dataclass(frozen=True)
class DeepHeader:
    """What a file says of itself.

    orientation: 1..8 as of EXIF. gray: one channel, or one with transparency. tile: as of `tile_of`.
    """

    form: str
    width: int
    height: int
    orientation: int = 1
    gray: bool = False
    white_is_zero: bool = False
    pages: bool = False
    tile: tuple[int, int] = (1, 1)


def deep_header(content: bytes, image: Image.Image | None) -> DeepHeader | None:
    """Of a film with 16 bits in each of several channels; None for any other.

    image: as Pillow opened it, not decoded, if it could.
    """
    if isinstance(image, PngImageFile):
        kind = str(image.tile[0].args) if image.tile else ""
        if image.mode not in ("RGB", "RGBA") or not kind.endswith(";16B"):
            return None
        if exif := _exif_of_png(content):
            image.info["exif"] = exif
        # Not PngImageFile's own, which decodes the pixels to look behind them.
        return DeepHeader("PNG", *image.size, Image.Image.getexif(image).get(ORIENTATION, 1), kind.startswith("LA"))
    return _of_tiff(content) if content[:4] in PREFIXES else None


def _exif_of_png(content: bytes) -> bytes | None:
    """The chunk eXIf, before or behind the pixels (PNG, third edition, 11.3.4.5)."""
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == b"eXIf":
            return b"Exif\0\0" + content[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def _of_tiff(content: bytes) -> DeepHeader | None:
    """Pillow reads gray with transparency of 16 bits not at all, and planes that are stored one after the other
    wrongly.
    """
    file = io.BytesIO(content)
    tags = ImageFileDirectory_v2(content[: 16 if b"\x2b" in content[2:4] else 8])
    file.seek(tags.next)
    tags.load(file)
    bits = tags.get(BITSPERSAMPLE, ())
    if len(bits) < 2 or set(bits) != {16}:
        return None
    return DeepHeader(
        "TIFF",
        tags[IMAGEWIDTH],
        tags[IMAGELENGTH],
        tags.get(ORIENTATION, 1),
        len(bits) == 2,
        len(bits) == 2 and tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO,
        bool(tags.next),
        tile_of(tags),
    )


def tile_of(tags: Mapping[int, Any]) -> tuple[int, int]:
    """Width and height of a TIFF's tiles; of a pixel when it has none."""
    return max(1, int(tags.get(TILE_WIDTH, 1))), max(1, int(tags.get(TILE_LENGTH, 1)))


def channels(content: bytes, header: DeepHeader, name: str) -> np.ndarray:
    """[H,W] gray or [H,W,3] colour, without transparency, in the file's units and the picture's stored orientation.

    Raises MissingExtra without imagecodecs, and an error of its own for a corrupt file.
    """
    try:
        from imagecodecs import png_decode, tiff_decode
    except ImportError:
        raise MissingExtra(
            f"{name} has 16 bits in several channels, which needs imagecodecs: pip install 'kneeoa-hub[dicom]'; or save"
            " it as gray."
        ) from None
    values = (png_decode if header.form == "PNG" else tiff_decode)(content)
    if values.ndim == 3 and values.shape[1:] == (header.height, header.width):  # planes
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3 or values.shape[:2] != (header.height, header.width) or values.dtype != np.uint16:
        raise ValueError(f"{values.shape} values of {values.dtype}")
    return values[..., 0] if header.gray else values[..., :3]
