"""Tells from a film's header alone how large the film will be when it is decoded."""

import io
import logging

from PIL import Image

from .bounds import check_picture
from .deflated import is_deflated
from .film import Limits
from .formats import PILLOW_FORMATS, is_dicom
from .quiet import quiet_logs, quiet_warnings

LARGE = 8_000_000
"""A film is large from eight million pixels on. It takes ten bytes of memory for each pixel."""
SIZE_BYTES = 256 * 2**10
"""Only the first 256 kB of a DICOM header are read for the size alone. A film with a longer header counts as large."""
PNG = b"\x89PNG\r\n\x1a\n"
"""A PNG file begins with these bytes."""
log: logging.Logger = logging.getLogger(__name__)


def is_large(film: bytes) -> bool:
    """Tell whether a film's header names LARGE pixels or more, or a size that is not understood."""
    try:
        with quiet_logs():
            width, height = _dicom_size(film) if is_dicom(film) else _picture_size(film)
    except Exception as error:  # a corrupt header raises many types; the decoder then says what is wrong
        log.debug("The size of a film is not known (%s)", type(error).__name__)
        return True
    return width * height >= LARGE


def _dicom_size(film: bytes) -> tuple[int, int]:
    import pydicom  # an extra

    from .bounds.dicom import CountedReads

    if is_deflated(film):  # its header is not readable either
        return LARGE, 1
    with quiet_warnings():
        # To the end of the file: of an element that occurs twice the last one counts.
        header = pydicom.dcmread(CountedReads(film, SIZE_BYTES), specific_tags=["Rows", "Columns"], force=True)
        return int(header.Columns), int(header.Rows)


def _picture_size(film: bytes) -> tuple[int, int]:
    if film.startswith(PNG):  # Pillow would unpack its text chunks to megabytes, on every thread at once
        if film[12:16] != b"IHDR":  # Pillow also reads a file whose header comes later
            return LARGE, 1
        return int.from_bytes(film[16:20]), int.from_bytes(film[20:24])
    check_picture(film, "The film", Limits().max_pixels)
    with Image.open(io.BytesIO(film), formats=PILLOW_FORMATS) as picture:
        return picture.size
