"""The formats that films come in, and how each is recognised."""

import re

PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Formats that Pillow may open. Its other decoders stay closed to files from outside."""
READABLE_FORMATS = "PNG, JPEG, TIFF, BMP, WebP or DICOM"
"""The formats in words, for messages and pages."""
FILM_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dic", ".dicom")
)
"""Suffixes that mark the films among the files of a folder. A film that is named by itself may have any suffix."""
BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|..\0\0)", re.DOTALL)
"""Start of a data set that was stored without the preamble, in little endian: an element of group 2 or 8, followed by
its value representation or by a short length."""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""UID of the DICOM transfer syntax Deflated Explicit VR Little Endian. Such a file is refused unread, since it would be
inflated as a whole, to any size."""


def is_dicom(content: bytes) -> bool:
    """Tell whether a file is DICOM, by its mark (PS3.10, 7.1), or by its first element as in some older archives."""
    return content[128:132] == b"DICM" or BARE_DICOM.match(content) is not None
