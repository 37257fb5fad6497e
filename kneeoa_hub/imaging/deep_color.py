"""Decodes values that Pillow cuts down to 8 bits, reads wrongly or does not know, by imagecodecs (extra `dicom`).

In PNG these are films with 16 bits in each of several channels. `tiff` says which TIFF films are among them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from ..errors import MissingExtra
from .bounds.tags import check_exif
from .header import Header
from .square import stated_aspect

ORIENTATION = 0x0112
"""This tag of EXIF says how the stored picture lies, 1 to 8."""


def deep_png(content: bytes, image: Image.Image | None) -> Header | None:
    """Read the header of a PNG film with 16 bits in each of several channels.

    Args:
        content: The file's bytes.
        image: The file as Pillow opened it, not yet decoded; None if Pillow cannot open it.

    Returns:
        The header, or None for any other film.
    """
    if not isinstance(image, PngImageFile):
        return None
    raw_mode = str(image.tile[0].args) if image.tile else ""
    if image.mode not in ("RGB", "RGBA") or not raw_mode.endswith(";16B"):
        return None
    if exif := _exif_of_png(content):
        image.info["exif"] = exif
    check_exif(image.info)
    # PngImageFile.getexif would decode the pixels to look for a chunk behind them.
    tags: Mapping[int, Any] = Image.Image.getexif(image)
    return Header(
        "PNG",
        *image.size,
        orientation=tags.get(ORIENTATION, 1),
        gray=raw_mode.startswith("LA"),
        bits=16,
        channels=4,
        aspect=stated_aspect(image.info, tags),
    )


def _exif_of_png(content: bytes) -> bytes | None:
    """Return the chunk eXIf, which may stand before or behind the pixels (PNG, third edition, 11.3.4.5)."""
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == b"eXIf":
            return b"Exif\0\0" + content[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def read_values(content: bytes, header: Header, name: str) -> np.ndarray:
    """Decode a film that Pillow does not read as it is.

    Args:
        content: The file's bytes.
        header: What `deep_png` or `tiff.film_page` returned for them.
        name: What messages call the film.

    Returns:
        [H,W] gray or [H,W,3] colour, without transparency, in the file's units and as the file stores it.

    Raises:
        MissingExtra: imagecodecs is not installed.
        ValueError: The pixels differ from the header. imagecodecs raises its own errors for a corrupt file.
    """
    try:
        from imagecodecs import png_decode, tiff_decode

        if header.pieces:
            values = header.pieces.decode(content)
        else:
            values = png_decode(content) if header.form == "PNG" else tiff_decode(content, index=header.page)
    except ImportError:
        raise MissingExtra(
            f"{name} has values of an unusual kind, which needs imagecodecs: pip install 'kneeoa-hub[dicom]'. Or save"
            " the film as gray with 8 or 16 bits."
        ) from None
    size = header.height, header.width
    if values.ndim == 3 and values.shape[1:] == size:  # stored in planes
        values = np.moveaxis(values, 0, -1)
    if values.shape[:2] != size or values.ndim not in (2, 3) or values.dtype.kind not in "buif":
        raise ValueError(f"{values.shape} values of {values.dtype}")
    if values.ndim == 2:
        return values
    return values[..., 0] if header.gray or values.shape[2] < 3 else values[..., :3]
