"""Deep colour: PNG and TIFF films with 16 bits in each of several channels.

Pillow cuts these down to 8 bits or does not know them, so imagecodecs (extra `dicom`) decodes them.
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
from .bounds.tags import check_exif

ORIENTATION = 0x0112
"""Tag of EXIF and TIFF that says how the stored picture lies, 1 to 8."""
WHITE_IS_ZERO = 0
"""Photometric interpretation of a TIFF film that is a negative (TIFF 6.0)."""
TILE_WIDTH, TILE_LENGTH = 322, 323
"""Tags of a TIFF for the size of its tiles, in pixels."""


@dataclass(frozen=True)
class DeepHeader:
    """What a file says of itself before its pixels are decoded.

    Attributes:
        form: "PNG" or "TIFF".
        width: Columns of the stored picture.
        height: Rows of the stored picture.
        orientation: EXIF orientation, 1 to 8.
        gray: Whether there is one channel, or one with transparency.
        white_is_zero: Whether the film is a negative.
        pages: Whether the file holds more than one picture.
        tile: Width and height of a tile, see `tile_size`.
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
    """Read the header of a film with 16 bits in each of several channels.

    Args:
        content: The file's bytes.
        image: The file as Pillow opened it, not yet decoded; None where Pillow cannot open it.

    Returns:
        The header, or None for any other film.
    """
    if isinstance(image, PngImageFile):
        return _of_png(content, image)
    return _of_tiff(content) if content[:4] in PREFIXES else None


def _of_png(content: bytes, image: PngImageFile) -> DeepHeader | None:
    raw_mode = str(image.tile[0].args) if image.tile else ""
    if image.mode not in ("RGB", "RGBA") or not raw_mode.endswith(";16B"):
        return None
    if exif := _exif_of_png(content):
        image.info["exif"] = exif
    check_exif(image.info)
    # PngImageFile.getexif would decode the pixels to look for a chunk behind them.
    orientation = Image.Image.getexif(image).get(ORIENTATION, 1)
    return DeepHeader("PNG", *image.size, orientation, gray=raw_mode.startswith("LA"))


def _exif_of_png(content: bytes) -> bytes | None:
    """Return the chunk eXIf, which may stand before or behind the pixels (PNG, third edition, 11.3.4.5)."""
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == b"eXIf":
            return b"Exif\0\0" + content[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def _of_tiff(content: bytes) -> DeepHeader | None:
    """Read the tags of a TIFF.

    Pillow does not read 16-bit gray with transparency, and reads planes that are stored one after the other wrongly.
    """
    file = io.BytesIO(content)
    tags = ImageFileDirectory_v2(content[: 16 if b"\x2b" in content[2:4] else 8])
    file.seek(tags.next)
    tags.load(file)
    bits = tags.get(BITSPERSAMPLE, ())
    if len(bits) < 2 or set(bits) != {16}:
        return None
    gray = len(bits) == 2
    return DeepHeader(
        "TIFF",
        tags[IMAGEWIDTH],
        tags[IMAGELENGTH],
        tags.get(ORIENTATION, 1),
        gray,
        white_is_zero=gray and tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO,
        pages=bool(tags.next),
        tile=tile_size(tags),
    )


def tile_size(tags: Mapping[int, Any]) -> tuple[int, int]:
    """Return width and height of a TIFF's tiles in pixels; (1, 1) where it has none."""
    return max(1, int(tags.get(TILE_WIDTH, 1))), max(1, int(tags.get(TILE_LENGTH, 1)))


def read_channels(content: bytes, header: DeepHeader, name: str) -> np.ndarray:
    """Decode a film with 16 bits in several channels.

    Args:
        content: The file's bytes.
        header: What `deep_header` returned for them.
        name: What messages call the film.

    Returns:
        [H,W] gray or [H,W,3] colour, without transparency, in the file's units and as the file stores it.

    Raises:
        MissingExtra: imagecodecs is not installed.
        ValueError: The pixels differ from the header. imagecodecs raises its own errors for a corrupt file.
    """
    try:
        from imagecodecs import png_decode, tiff_decode
    except ImportError:
        raise MissingExtra(
            f"{name} has 16 bits in several channels, which needs imagecodecs: pip install 'kneeoa-hub[dicom]'. Or save"
            " the film as gray."
        ) from None
    values = (png_decode if header.form == "PNG" else tiff_decode)(content)
    if values.ndim == 3 and values.shape[1:] == (header.height, header.width):  # stored in planes
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3 or values.shape[:2] != (header.height, header.width) or values.dtype != np.uint16:
        raise ValueError(f"{values.shape} values of {values.dtype}")
    return values[..., 0] if header.gray else values[..., :3]
