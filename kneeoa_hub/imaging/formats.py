"""The formats that films come in, and how each is recognised."""

import re
from typing import Any

PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""Formats that Pillow may open. Its other decoders stay closed to files from outside."""
READABLE_FORMATS = "PNG, JPEG, TIFF, BMP, WebP or DICOM"
"""The formats in words, for messages and pages."""
FILM_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dic", ".dicom")
)
"""Suffixes that mark the films among the files of a folder. A film that is named by itself may have any suffix."""
OVERLAY, REPORT, CAPTURE = "graded.png", "sr.dcm", "sc.dcm"
"""Ends of the names of pictures that the package writes beside films. In a folder they are no films."""
BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|..\0\0)", re.DOTALL)
"""Start of a data set that was stored without the preamble, in little endian: an element of group 2 or 8, followed by
its value representation or by a short length."""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""UID of the DICOM transfer syntax Deflated Explicit VR Little Endian."""
DICOMDIR = "1.2.840.10008.1.3.10"
"""UID of the class of a DICOMDIR, the list of the films on a medium (PS3.10 8.6)."""


def is_part_10(content: bytes) -> bool:
    """Tell whether a file has the mark of DICOM (PS3.10, 7.1)."""
    return content[128:132] == b"DICM"


def is_dicom(content: bytes) -> bool:
    """Tell whether a file is DICOM, by its mark, or by its first element as in some older archives."""
    return is_part_10(content) or BARE_DICOM.match(content) is not None


def is_dicomdir(meta: Any) -> bool:
    """Tell whether a file is a DICOMDIR, by its meta information as pydicom reads it."""
    return meta.get("MediaStorageSOPClassUID") == DICOMDIR
