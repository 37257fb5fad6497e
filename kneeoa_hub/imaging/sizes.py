"""How large a film will be when it is unpacked, by its header alone."""

import io
import logging

from PIL import Image

from kneeoa_hub.imaging.decode import FORMATS, is_dicom
from kneeoa_hub.imaging.dicom import DEFLATED
from kneeoa_hub.imaging.quiet import unheard, unwarned

LARGE = 8_000_000
"""Pixels from which a film is large: it takes ten bytes for each."""
PNG = b"\x89PNG\r\n\x1a\n"
log = logging.getLogger(__name__)


def is_large(film: bytes) -> bool:
    """Whether its header tells of LARGE pixels or more, or tells nothing that is understood."""
    try:
        with unheard():
            across, down = _dicom(film) if is_dicom(film) else _picture(film)
    except Exception as error:  # whatever is wrong with it, the decoder tells
        log.debug("The size of a film is not known (%s)", type(error).__name__)
        return True
    return across * down >= LARGE


def _dicom(film: bytes) -> tuple[int, int]:
    import pydicom  # an extra

    if DEFLATED in film:  # it would be inflated as a whole; the decoder refuses it
        return 0, 0
    with unwarned():
        # to its end: what is told twice counts as told last
        header = pydicom.dcmread(io.BytesIO(film), specific_tags=["Rows", "Columns"], force=True)
        return int(header.Columns), int(header.Rows)


def _picture(film: bytes) -> tuple[int, int]:
    if film.startswith(PNG):  # whose texts Pillow would unfold to megabytes, on every thread at once
        if film[12:16] != b"IHDR":  # Pillow reads such a file too, by a header that comes later
            return LARGE, 1
        return int.from_bytes(film[16:20]), int.from_bytes(film[20:24])
    with Image.open(io.BytesIO(film), formats=FORMATS) as picture:
        return picture.size
